"""Files and folders that appear whole or not at all: the one place that renames, replaces and waits for the disk.

with whole(target) as beside: ...    a file that is written under a hidden name first
write_bytes, write_text              the same for what is in memory
put(made, target)                    a file or folder that is complete already takes the target's place
bring(path, target)                  a file of another disk
set_aside(path)                      what is damaged is kept beside, out of the way
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
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
        put(beside, target, durable=durable)
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(target: Path, data: bytes, *, durable: bool = True) -> None:
    """`whole` for bytes. OSError where they cannot be written; nothing half-written stays."""
    with whole(target, durable=durable) as beside:
        beside.write_bytes(data)


def write_text(target: Path, text: str, *, durable: bool = True) -> None:
    """`whole` for text, in UTF-8 with the line ends that it has."""
    write_bytes(target, text.encode(), durable=durable)


def put(made: Path, target: Path, *, durable: bool = True) -> None:
    """Move a complete file or folder to the target's place, on the same disk. What was there is replaced: a file in one
    step; a folder by way of a second name, NAME.before-..., which stays where the process is killed in between.

    durable: the bytes are on the disk before the name is, and the name when this returns. OSError: nothing changed."""
    if durable:
        for each in made.rglob("*") if made.is_dir() else ():
            sync(each)
        sync(made)
    if made.is_dir() and target.is_dir():
        old = hidden(target, ".old")
        # No mark of a process: where this one is killed now, the old folder must not be taken for a leftover.
        old = old.with_name(old.name.replace(".partial-", ".before-"))
        target.rename(old)
        try:
            made.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old)
    else:
        made.replace(target)
    if durable:
        sync(target.parent)


def bring(path: Path, target: Path) -> None:
    """Move a file to the target's place, whole, also from another disk. OSError."""
    with whole(target) as beside:
        shutil.move(path, beside)


def set_aside(path: Path, ending: str = "damaged") -> Path:
    """Rename what is at a path to NAME.ENDING-DATE, a name that is nobody's, and return that. OSError."""
    when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    numbers = ("" if number == 1 else f"-{number}" for number in range(1, 10_000))
    names = (path.with_name(f"{path.name}.{ending}-{when}{number}") for number in numbers)
    free = next(name for name in names if not os.path.lexists(name))
    put(path, free, durable=False)
    return free


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
