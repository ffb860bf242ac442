"""Where the files of shots in the making lie between their steps, so that another process can go on with them.

On one machine, or where all machines see one folder: FOLDER/<shot>/<step>.mp4. Else the database of the steps holds
them too: clips of some seconds are small. Both write a file whole or not at all, and again without harm.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

from ...core.errors import KinemaError, MediaError
from ...core.whole import whole
from .postgres import Tables

MAX_BYTES = 200 * 10**6


class WorkFiles(Protocol):
    """Files by shot and step."""

    def has(self, shot: str, step: str) -> bool: ...

    def put(self, shot: str, step: str, path: Path) -> None:
        """Keep a file, which may be moved away."""

    def take(self, shot: str, step: str, path: Path) -> Path:
        """The file, at `path` or elsewhere on this machine; not to be changed. MediaError where there is none."""

    def drop(self, shot: str) -> None:
        """Forget all files of a shot."""


class FolderFiles:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, shot: str, step: str) -> bool:
        return self._path(shot, step).is_file()

    def put(self, shot: str, step: str, path: Path) -> None:
        target = self._path(shot, step)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole(target) as beside:
                shutil.move(path, beside)
                with beside.open("rb") as file:
                    os.fsync(file.fileno())
        except OSError as error:
            raise MediaError(f"{target}: cannot be written ({error.strerror or error}).") from error

    def take(self, shot: str, step: str, path: Path) -> Path:
        found = self._path(shot, step)
        if not found.is_file():
            raise MediaError(f"{found}: is not there any more.")
        return found

    def drop(self, shot: str) -> None:
        shutil.rmtree(self.folder / shot, ignore_errors=True)

    def _path(self, shot: str, step: str) -> Path:
        return self.folder / shot / f"{step}.mp4"


class DatabaseFiles:
    """In the table kinema_files of a PostgreSQL database. url: with its password."""

    def __init__(self, url: str) -> None:
        self._tables = Tables(
            url,
            "CREATE TABLE IF NOT EXISTS kinema_files (shot text, step text, data bytea NOT NULL, "
            "at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (shot, step))",
        )

    def has(self, shot: str, step: str) -> bool:
        found = self._tables.do(
            "SELECT 1 FROM kinema_files WHERE shot = :shot AND step = :step", shot=shot, step=step
        )  # fmt: skip
        return bool(found)

    def put(self, shot: str, step: str, path: Path) -> None:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise KinemaError(
                f"{path.name} of {shot} has {size:,} bytes, too many to travel through the database; name a folder "
                "that all machines see in database.files."
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
            raise MediaError(f"{shot}: its file after {step} is not in the database any more.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rows[0][0])
        return path

    def drop(self, shot: str) -> None:
        self._tables.do("DELETE FROM kinema_files WHERE shot = :shot", shot=shot)


def work_files(place: str, url: str) -> WorkFiles:
    """place: "database", or a folder; url: of the database."""
    return DatabaseFiles(url) if place == "database" else FolderFiles(Path(place))
