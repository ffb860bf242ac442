"""Whether a published file that was fetched is the one that published figures used, where no digest is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .i3d_torchscript import check_words

CHECKS: dict[str, Callable[[Path], str]] = {"i3d": check_words}
"""By the names of weights/published_files.py. Each returns a sentence; ModelError for a file of another kind."""
