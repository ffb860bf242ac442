"""Results on disk as they come: one JSON line each, so that a stopped run loses at most the clip in the making."""

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
    """What was measured so far, by Key. header: what it was measured of; a file of another one is not gone on with."""

    def __init__(self, path: Path, header: dict[str, Any], resume: bool):
        self.path, self.found = path, dict[Key, dict[str, Any]]()
        lines = _lines(path) if resume and path.exists() else []
        if lines:
            if lines[0] != header:
                other = [name for name in header if lines[0].get(name) != header[name]]
                raise RequestError(
                    f"{path}: these results are of another {' and '.join(other) or 'run'}; nothing was changed.",
                    field="resume",
                    value=str(path),
                    legal="results of the same weights, probes and version; or another folder; or no --resume",
                )
            self.found = {(each["column"], each["task"], each["index"]): each for each in lines[1:] if _is_entry(each)}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Rewritten whole: a line that was cut in half must not be gone on with.
            kept = [header, *self.found.values()]
            whole.write_text(path, "".join(json.dumps(each) + "\n" for each in kept))
            self.file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise MediaError(f"{path}: cannot be written ({error.strerror or error}).") from error

    def add(self, entry: dict[str, Any]) -> None:
        """entry: column, task, index, measures, seconds and whatever else is worth keeping."""
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
    """Write beside and rename."""
    try:
        whole.write_text(path, text)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror or error}).") from error
