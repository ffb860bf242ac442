"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import leftovers

MAX_NAME_BYTES = 255
"""Of one name, on the usual file systems."""
_ROOM = 8
"""Bytes kept for an ending that somebody adds to the hidden name."""


@contextmanager
def whole(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """A hidden name beside the target, with its suffix. What was written there takes the target's place when the block
    ends, and is removed when anything stops it, so nobody ever reads half a file. Every call has a name of its own;
    what killed processes left in the folder is removed.

    The file has the permissions of the one that it replaces, a new one those that the umask leaves. durable: also after
    a power cut it is the old one or the new one, whole; without, the disk is not waited for. OSError where it cannot be
    written.
    """
    beside = hidden(target)
    mode = _mode(target, beside)
    try:
        yield beside
        with contextlib.suppress(PermissionError):  # a file system without permissions
            beside.chmod(mode)
        if durable:
            sync(beside)
        beside.replace(target)
        if durable:
            sync(target.parent)
    finally:
        beside.unlink(missing_ok=True)


def hidden(target: Path, suffix: str | None = None) -> Path:
    """A name beside the target that is nobody else's, with its suffix or the given one, never too long for a disk."""
    suffix = target.suffix if suffix is None else suffix
    ending = f".partial-{leftovers.mark()}{suffix if len(os.fsencode(suffix)) <= 20 else ''}"
    stem, most = target.stem, MAX_NAME_BYTES - _ROOM - len(ending) - 1
    while len(os.fsencode(stem)) > most:
        stem = stem[: min(most, len(stem) - 1)]
    leftovers.sweep(target.parent)
    return target.with_name(f".{stem}{ending}")


def sync(path: Path) -> None:
    """Wait until the disk holds a file's bytes, or a folder's names. Where folders cannot be opened, only files."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir():
            return
        raise
    try:
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mode(target: Path, beside: Path) -> int:
    """The permissions of the target, or those that the umask leaves a new file there (asked of the disk, because a
    process can only ask for its umask by setting it)."""
    with contextlib.suppress(FileNotFoundError):
        return target.stat().st_mode & 0o777
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return os.fstat(descriptor).st_mode & 0o777
    finally:
        os.close(descriptor)
        beside.unlink()
