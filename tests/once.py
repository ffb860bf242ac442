"""What several tests need and is dear to make: made once for the whole run, by whichever worker comes first."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

waited_s = 0.0
"""Seconds that this process has waited for what another one was making (time_limit.py leaves them out)."""


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of this run, filled by `make(folder)` the first time. Workers of pytest-xdist share it: one
    makes it, the others wait. What raises leaves no folder, and the next test that asks tries again, so that every
    test that depends on it fails with the reason. Read it, do not write into it."""
    global waited_s
    shared = factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else factory.getbasetemp()
    folder = shared / "once" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    asked = time.monotonic()
    with FileLock(f"{folder}.lock"):
        waited_s += time.monotonic() - asked
        if folder.exists():
            return folder
        making = folder.with_name(f"{name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        make(making)
        making.rename(folder)
    return folder
