"""The files of a folder that is curated: videos, and what is no video with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import KinemaError
from ..media import captions
from ..media.endings import readable
from ..media.manifest import FOLDER_NOTE
from .state import SourceFile


def source_files(folder: Path, leave_out: Path) -> Iterator[SourceFile]:
    """All files under a folder, in order. Hidden files and folders, captions, metadata and manifests are no sources;
    links to folders are not followed. leave_out: a folder that is not searched (the data set)."""
    listed = captions.metadata(folder, lambda name, why: None, lambda name, what: None)
    endings, out = readable(), os.path.realpath(leave_out)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not (Path(place) / name).is_symlink()
            and os.path.realpath(Path(place) / name) != out
        )
        for name in sorted(names):
            path = Path(place) / name
            suffix = path.suffix.lower()
            if name.startswith(".") or _accompanies(path, endings):
                continue
            shown = path.relative_to(folder).as_posix()
            try:
                shown.encode()
            except UnicodeEncodeError:
                yield SourceFile(
                    os.fsencode(shown).decode("utf-8", "backslashreplace"), "", None, "its name is not UTF-8"
                )
                continue
            if suffix == ".tar":
                yield SourceFile(shown, _stamp(path), None, "a shard; unpack it first (tar -xf)")
            elif suffix not in endings:
                yield SourceFile(shown, _stamp(path), None, f"no video: its ending is {suffix or 'missing'}")
            elif not path.is_file():
                yield SourceFile(shown, "", None, "not a regular file" if path.exists() else "a broken link")
            else:
                yield _video(path, shown, listed.get(path))


def _video(path: Path, name: str, listed: str | None) -> SourceFile:
    try:
        caption = listed if listed is not None else captions.sidecar(path)[0].strip()
    except KinemaError:
        caption = ""
    return SourceFile(name, _stamp(path), caption or None)


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _accompanies(path: Path, endings: frozenset[str]) -> bool:
    """Whether a file only describes others: a caption, metadata, a manifest."""
    return path.suffix.lower() == ".txt" or path.name in (*captions.METADATA, FOLDER_NOTE) or (
        path.suffix.lower() == ".json" and path.with_suffix("").suffix.lower() in endings
    )  # fmt: skip
