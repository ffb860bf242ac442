"""One playout for each channel: a second one is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError


class ChannelBusy(KinemaError):
    """Another process has this channel on air."""


class ChannelLock:
    """Held from construction until `close`, or until the process ends, however it ends. ChannelBusy where another
    process holds it."""

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
                f"{folder}: is on air already ({name}, process {owner}). A channel has one playout: stop that first."
            ) from None
        try:
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n")
            self._file.flush()
        except OSError:  # a full disk: the lock holds without the number
            pass

    def close(self) -> None:
        self._file.close()
