"""Atomic writes: files and folders appear complete or not at all. All renames, replacements and fsyncs are here.

with whole(target) as partial: ...   write a file under a temporary name first
write_bytes, write_text              the same for data in memory
put(complete, target)                move a complete file or folder to the target
move_file(path, target)              move a file, also from another disk
set_aside(path)                      rename a damaged file
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
"""Of one name, on common file systems."""
_ROOM = 8
"""Bytes reserved for a suffix appended to the temporary name."""


@contextmanager
def whole(target: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to the target, with its suffix. The file written there replaces the target when the
    block ends, and is removed if the block raises, so no partial file is ever visible. Each call has its own name;
    leftovers of killed processes in the folder are removed.

    The file gets the permissions of the one that it replaces; a new one those of the umask. durable: after a power
    failure the target is either the old or the new file, complete; without it, the disk is not waited for. Raises
    OSError if the file cannot be written.
    """
    partial = hidden(target)
    mode = _mode(target, partial)
    try:
        yield partial
        with contextlib.suppress(PermissionError):  # a file system without permissions
            partial.chmod(mode)
        put(partial, target, durable=durable)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(target: Path, data: bytes, *, durable: bool = True) -> None:
    """Write bytes atomically. Raises OSError; no partial file remains."""
    with whole(target, durable=durable) as partial:
        partial.write_bytes(data)


def write_text(target: Path, text: str, *, durable: bool = True) -> None:
    """Write text atomically, in UTF-8, with its line endings unchanged."""
    write_bytes(target, text.encode(), durable=durable)


def put(complete: Path, target: Path, *, durable: bool = True) -> None:
    """Move a complete file or folder to the target, on the same disk. An existing file is replaced in one step; an
    existing folder is first renamed to NAME.before-..., which remains if the process is killed in between.

    durable: the content is on disk before the name, and the name when this returns. On OSError nothing has changed."""
    if durable:
        for each in complete.rglob("*") if complete.is_dir() else ():
            sync(each)
        sync(complete)
    if complete.is_dir() and target.is_dir():
        old = hidden(target, ".old")
        # No mark of this process: if it is killed now, the old folder must not count as a leftover.
        old = old.with_name(old.name.replace(".partial-", ".before-"))
        target.rename(old)
        try:
            complete.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old)
    else:
        complete.replace(target)
    if durable:
        sync(target.parent)


def move_file(path: Path, target: Path) -> None:
    """Move a file to the target atomically, also from another disk. Raises OSError."""
    with whole(target) as partial:
        shutil.move(path, partial)


def set_aside(path: Path, ending: str = "damaged") -> Path:
    """Rename a file or folder to an unused name NAME.ENDING-DATE and return that. Raises OSError."""
    when = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    numbers = ("" if number == 1 else f"-{number}" for number in range(1, 10_000))
    names = (path.with_name(f"{path.name}.{ending}-{when}{number}") for number in numbers)
    free = next(name for name in names if not os.path.lexists(name))
    put(path, free, durable=False)
    return free


def hidden(target: Path, suffix: str | None = None) -> Path:
    """A unique hidden path next to the target, with its suffix or the given one, within the length limit of names."""
    suffix = target.suffix if suffix is None else suffix
    ending = f".partial-{leftovers.mark()}{suffix if len(os.fsencode(suffix)) <= 20 else ''}"
    stem, most = target.stem, MAX_NAME_BYTES - _ROOM - len(ending) - 1
    while len(os.fsencode(stem)) > most:
        stem = stem[: min(most, len(stem) - 1)]
    leftovers.sweep(target.parent)
    return target.with_name(f".{stem}{ending}")


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk. Folders are skipped if the system cannot open them."""
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


def _mode(target: Path, partial: Path) -> int:
    """The permissions of the target, or those of a new file there (probed on disk, because reading the umask requires
    setting it)."""
    with contextlib.suppress(FileNotFoundError):
        return target.stat().st_mode & 0o777
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return os.fstat(descriptor).st_mode & 0o777
    finally:
        os.close(descriptor)
        partial.unlink()
