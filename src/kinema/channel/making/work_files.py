"""Storage of a shot's files between its steps, so that another process can resume it.

On one machine, or with a shared folder: FOLDER/<shot>/<step>.mp4. Otherwise the workflow database stores them, since
short clips are small. Both write files atomically and idempotently.

The files of a finished shot are deleted, except its last frames (TAIL) if the next shot continues them.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Protocol

from ...core.errors import KinemaError, MediaError
from ...core.whole import move_file
from .postgres import Tables

MAX_BYTES = 200 * 10**6
TAIL = "tail"
_SUFFIXES = {TAIL: ".webp"}  # lossless


class WorkFiles(Protocol):
    """Files by shot and step."""

    def has(self, shot: str, step: str) -> bool: ...

    def put(self, shot: str, step: str, path: Path) -> None:
        """Store a file, which may be moved."""

    def take(self, shot: str, step: str, path: Path) -> Path:
        """The file, at `path` or elsewhere on this machine; read-only. MediaError if it is missing."""

    def drop(self, shot: str, keep: str = "") -> None:
        """Delete all files of a shot, except that of step `keep`."""

    def forget(self, shot: str, step: str) -> None:
        """Delete one file, if it exists."""

    def having(self, step: str, prefix: str) -> list[str]:
        """The shots with this name prefix that have a file of this step."""


def suffix(step: str) -> str:
    """The file name suffix of a step."""
    return _SUFFIXES.get(step, ".mp4")


class FolderFiles:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, shot: str, step: str) -> bool:
        return self._path(shot, step).is_file()

    def put(self, shot: str, step: str, path: Path) -> None:
        target = self._path(shot, step)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            move_file(path, target)
        except OSError as error:
            raise MediaError(f"Cannot write {target}: {error.strerror or error}.") from error

    def take(self, shot: str, step: str, path: Path) -> Path:
        stored = self._path(shot, step)
        if not stored.is_file():
            raise MediaError(f"No such file: {stored}.")
        return stored

    def drop(self, shot: str, keep: str = "") -> None:
        kept = self._path(shot, keep) if keep else None
        if kept is None or not kept.is_file():
            shutil.rmtree(self.folder / shot, ignore_errors=True)
            return
        for path in kept.parent.iterdir():
            if path != kept:
                with contextlib.suppress(OSError):
                    path.unlink()

    def forget(self, shot: str, step: str) -> None:
        path = self._path(shot, step)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # only if it is empty

    def having(self, step: str, prefix: str) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob(f"{prefix}*/{step}{suffix(step)}"))

    def _path(self, shot: str, step: str) -> Path:
        return self.folder / shot / f"{step}{suffix(step)}"


class DatabaseFiles:
    """Files in the table kinema_files of a PostgreSQL database. url: with the password."""

    def __init__(self, url: str) -> None:
        self._tables = Tables(
            url,
            "CREATE TABLE IF NOT EXISTS kinema_files (shot text, step text, data bytea NOT NULL, "
            "at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (shot, step))",
        )

    def has(self, shot: str, step: str) -> bool:
        rows = self._tables.do(
            "SELECT 1 FROM kinema_files WHERE shot = :shot AND step = :step", shot=shot, step=step
        )  # fmt: skip
        return bool(rows)

    def put(self, shot: str, step: str, path: Path) -> None:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise KinemaError(
                f"{path.name} of {shot} has {size:,} bytes; the database stores at most {MAX_BYTES:,} per file. Set "
                "database.files to a folder shared by all machines."
            )
        self._tables.do(
            "INSERT INTO kinema_files (shot, step, data) VALUES (:shot, :step, :data) "
            "ON CONFLICT (shot, step) DO UPDATE SET data = excluded.data, at = now()",
            shot=shot, step=step, data=path.read_bytes(),
        )  # fmt: skip

    def take(self, shot: str, step: str, path: Path) -> Path:
        rows = self._tables.do(
            "SELECT data FROM kinema_files WHERE shot = :shot AND step = :step", shot=shot, step=step
        )  # fmt: skip
        if not rows:
            raise MediaError(f"{shot}: the file of step {step} is not in the database.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rows[0][0])
        return path

    def drop(self, shot: str, keep: str = "") -> None:
        self._tables.do("DELETE FROM kinema_files WHERE shot = :shot AND step <> :keep", shot=shot, keep=keep)

    def forget(self, shot: str, step: str) -> None:
        self._tables.do("DELETE FROM kinema_files WHERE shot = :shot AND step = :step", shot=shot, step=step)

    def having(self, step: str, prefix: str) -> list[str]:
        rows = self._tables.do(
            "SELECT shot FROM kinema_files WHERE step = :step AND starts_with(shot, :prefix) ORDER BY shot",
            step=step, prefix=prefix,
        )  # fmt: skip
        return [str(row[0]) for row in rows]


def work_files(place: str, url: str) -> WorkFiles:
    """The storage for `place`: "database", or a folder. url: the database."""
    return DatabaseFiles(url) if place == "database" else FolderFiles(Path(place))
