"""Temporary names that identify the process that created a file, so that later processes remove the leftovers of a
killed one.

A mark is MACHINE-PID-COUNT. A file is abandoned if its process on this machine no longer runs; one of another machine
(on a shared disk, where processes are not visible) after KEEP_DAYS without a change.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import platform
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PARTIAL = re.compile(r"\..*\.partial-([0-9a-f]{6})-(\d{1,10})-\d+(\.[^/]*)?", re.DOTALL)
TEMPORARY = re.compile(r"kinema-[a-z]+-([0-9a-f]{6})-(\d{1,10})-\d+-[^/]*")
KEEP_DAYS = 7
MOST = 1000
"""Maximum number of leftovers that one sweep removes."""
_count = itertools.count(1)
_swept: set[Path] = set()


def mark() -> str:
    """Return a mark of this process, unique to the call."""
    return f"{_machine()}-{os.getpid()}-{next(_count)}"


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """Create a folder for temporary files, removed at the end of the block; the first call also removes those of killed
    processes. purpose: a word of a to z in its name."""
    place = Path(tempfile.gettempdir())
    sweep(place, TEMPORARY)
    with tempfile.TemporaryDirectory(prefix=f"kinema-{purpose}-{mark()}-", dir=place) as folder:
        yield Path(folder)


def gone(owner: str, file: Path) -> bool:
    """Whether the process with the mark `owner`, which created the file, has ended. False if it is not a mark."""
    found = re.fullmatch(r"([0-9a-f]{6})-(\d{1,10})-\d+", owner)
    return found is not None and _abandoned(found, file.stat().st_mtime)


def sweep(folder: Path, names: re.Pattern[str] = PARTIAL) -> None:
    """Remove the leftovers of killed processes from a folder, once per folder and process. Entries that cannot be
    inspected or removed stay."""
    if folder in _swept or len(_swept) > 10_000:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError):
        left = [
            entry
            for entry in os.scandir(folder)
            if (found := names.fullmatch(entry.name)) and _is_leftover(entry, found)
        ]
        for entry in left[:MOST]:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink()


def _is_leftover(entry: os.DirEntry[str], found: re.Match[str]) -> bool:
    """Whether it is a file or folder of this user whose process has ended."""
    with contextlib.suppress(OSError):
        facts = entry.stat(follow_symlinks=False)
        if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
            return False
        if hasattr(os, "getuid") and facts.st_uid != os.getuid():
            return False
        return _abandoned(found, facts.st_mtime)
    return False


def _abandoned(found: re.Match[str], changed_s: float) -> bool:
    if found[1] == _machine():
        return not _runs(int(found[2]), changed_s)
    return time.time() - changed_s > KEEP_DAYS * 86_400


def _runs(pid: int, changed_s: float) -> bool:
    """Whether the process that changed a file at this time still runs. A process that started later reuses its pid."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() < changed_s + 10
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return True


@cache
def _machine() -> str:
    """An identifier of this machine and, in a container, of its PID namespace."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{platform.node()}|{namespace}".encode("utf-8", "replace")).hexdigest()[:6]
