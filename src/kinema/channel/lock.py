"""Locks that allow one playout, one producer and one supervisor per channel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError


class ChannelBusy(KinemaError):
    """Another process holds the lock."""


class ChannelLock:
    """A lock held from construction until `close` or the end of the process. ChannelBusy if another process holds
    it."""

    def __init__(self, folder: Path, name: str = "playout") -> None:
        import fcntl

        path = folder / "state" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: Any = path.open("a+", encoding="ascii")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise ChannelBusy(
                f"{folder} is already on air ({name}, process {owner}). A channel has one {name}: stop that first."
            ) from None
        try:
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n")
            self._file.flush()
        except OSError:  # a full disk: the lock holds without the process id
            pass

    def close(self) -> None:
        self._file.close()


def holder(folder: Path, name: str = "playout") -> int | None:
    """The id of the process that holds a lock of the channel; None if no process does, 0 if its id is unknown."""
    import fcntl

    try:
        with (folder / "state" / f"{name}.lock").open(encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                pid = file.read().strip()
                return int(pid) if pid.isdigit() else 0
    except OSError:
        pass
    return None
