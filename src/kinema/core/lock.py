"""File locks of the operating system (flock); released when the process that holds them ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: no locking
    fcntl = None  # type: ignore[assignment]


def take(file: IO[str] | IO[bytes], *, shared: bool = False) -> bool:
    """Try to lock an open file without waiting; the lock is held until the file is closed. False if another process, or
    another open handle in this one, holds it; True if the system has no locks. shared: beside others that share it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, the file NAME.lock next to it, for the block; waits for it. Raises OSError if that file
    cannot be created. File systems without locks (some network shares) are not locked."""
    with path.with_name(f"{path.name}.lock").open("ab") as file:
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
