"""Results on disk, one JSON line each, so that a stopped run loses at most one clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core import whole
from ..core.errors import KinemaError, MediaError, RequestError
from ..core.outside import parse_json

Key = tuple[str, str, int]
"""(column, task, index of the case)."""


class Results:
    """Results by Key. header: identifies model, probes and settings; a file with another header is not resumed."""

    def __init__(self, path: Path, header: dict[str, Any], resume: bool):
        self.path, self.found = path, dict[Key, dict[str, Any]]()
        lines = _lines(path) if resume and path.exists() else []
        if lines:
            if lines[0] != header:
                other = [name for name in header if lines[0].get(name) != header[name]]
                raise RequestError(
                    f"{path}: these results have another {' and '.join(other) or 'header'}; nothing was changed.",
                    field="resume",
                    value=str(path),
                    legal="results of the same weights, probes and version; or another folder; or no --resume",
                )
            self.found = {(each["column"], each["task"], each["index"]): each for each in lines[1:] if _is_entry(each)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Rewrite the file, since its last line may be truncated.
            kept = [header, *self.found.values()]
            whole.write_text(path, "".join(json.dumps(each) + "\n" for each in kept))
            self.file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise MediaError(f"{path}: cannot be written ({error.strerror or error}).") from error

    def add(self, entry: dict[str, Any]) -> None:
        """Add an entry: column, task, index, measures, seconds and more."""
        self.found[entry["column"], entry["task"], entry["index"]] = entry
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _is_entry(line: dict[str, Any]) -> bool:
    kinds = {"column": str, "task": str, "index": int, "measures": dict}
    return all(isinstance(line.get(name), kind) for name, kind in kinds.items())


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(parse_json(line, str(path), dict))
        except KinemaError:  # the last line of a run that was killed while writing
            break
    return found


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    try:
        whole.write_text(path, text)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror or error}).") from error
