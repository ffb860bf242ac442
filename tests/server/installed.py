"""Programs of other people, installed for the tests of a run in a folder of their own: they are no dependencies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from once import once


def installed(factory: pytest.TempPathFactory, name: str, *packages: str) -> Path:
    """A folder with packages, for PYTHONPATH. Skips the test if they cannot be installed."""

    def install(folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder),
             *packages], capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"cannot start {name}: it cannot be installed ({done.stderr[-300:]})")

    return once(factory, name, install)
