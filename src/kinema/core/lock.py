"""One process at a time: a lock of the system on a file, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: nothing is locked
    fcntl = None  # type: ignore[assignment]


def take(file: IO[str] | IO[bytes]) -> bool:
    """Take the lock of an open file at once, held until the file is closed. False where another process, or another
    opening of the file in this one, has it; True where the system has no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file beside `path`, NAME.lock, for the block; waits for it. OSError where that file cannot be
    made. On a disk without locks (some network shares) nobody waits."""
    with path.with_name(f"{path.name}.lock").open("ab") as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
