"""One process of a kind for each channel: a lock on a file in FOLDER/state, which the system lets go when it dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import KinemaError


@contextlib.contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Be the channel's only `name` for a while. KinemaError where another process is."""
    path = _file(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = holder(folder, name)
            raise KinemaError(f"{folder}: its {name} runs already (process {pid}).") from None
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid()}))
        file.flush()
        yield


def holder(folder: Path, name: str) -> int | None:
    """The process that holds the lock; None where none does."""
    try:
        with _file(folder, name).open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return int(json.loads(file.read() or '{"pid": 0}')["pid"])
    except (OSError, ValueError, KeyError):
        pass
    return None


def _file(folder: Path, name: str) -> Path:
    return folder / "state" / f"{name}.lock"
