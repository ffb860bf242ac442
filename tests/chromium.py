"""A real browser for the tests of pages: Chromium of this machine, driven by playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The started browser; skips the test where it cannot start."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("cannot start Chromium: there is none on this machine (apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="cannot start Chromium: playwright is not installed")
    with api.sync_playwright() as driver:
        try:
            started = driver.chromium.launch(executable_path=found, args=FLAGS, timeout=120_000)
        except api.Error as error:
            pytest.skip(f"cannot start Chromium: {str(error).splitlines()[0]}")
        yield started
        started.close()
