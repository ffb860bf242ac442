"""Names that say which process made a file, so that what a killed process left is found and removed by the next one.

A mark is MACHINE-PID-COUNT. What bears the mark of a process of this machine that no longer runs belongs to nobody;
what another machine left (on a shared disk, where its processes cannot be seen) does after KEEP_DAYS without a change.
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
SCRATCH = re.compile(r"kinema-[a-z]+-([0-9a-f]{6})-(\d{1,10})-\d+-[^/]*")
KEEP_DAYS = 7
MOST = 1000
"""Leftovers removed by one sweep, at most."""
_count = itertools.count(1)
_swept: set[Path] = set()


def mark() -> str:
    """A mark of this process that no other call gets."""
    return f"{_machine()}-{os.getpid()}-{next(_count)}"


@contextlib.contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A folder for temporary files, removed at the end of the block; the first call also removes those of killed
    processes. purpose: a word of a to z in its name."""
    place = Path(tempfile.gettempdir())
    sweep(place, SCRATCH)
    with tempfile.TemporaryDirectory(prefix=f"kinema-{purpose}-{mark()}-", dir=place) as folder:
        yield Path(folder)


def gone(made_by: str, file: Path) -> bool:
    """Is the process of this mark gone, which made the file? False for what is no mark."""
    found = re.fullmatch(r"([0-9a-f]{6})-(\d{1,10})-\d+", made_by)
    return found is not None and _abandoned(found, file.stat().st_mtime)


def sweep(folder: Path, names: re.Pattern[str] = PARTIAL) -> None:
    """Remove what killed processes left in a folder, once for each folder in a process. Whatever cannot be looked at or
    removed stays."""
    if folder in _swept or len(_swept) > 10_000:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError):
        left = [
            entry for entry in os.scandir(folder) if (found := names.fullmatch(entry.name)) and _nobodys(entry, found)
        ]
        for entry in left[:MOST]:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink()


def _nobodys(entry: os.DirEntry[str], found: re.Match[str]) -> bool:
    """Is it a file or folder of this user, and its process gone?"""
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
    """Does the process run that changed a file at this time? A process that began later only has its number."""
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
    """This machine, and where processes are counted apart (containers) this count of them."""
    try:
        counted = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        counted = ""
    return hashlib.sha256(f"{platform.node()}|{counted}".encode("utf-8", "replace")).hexdigest()[:6]
