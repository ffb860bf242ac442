"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A hidden name beside the target, with its suffix. What was written there takes the target's place when the block
    ends, and is removed when anything stops it, so nobody ever reads half a file."""
    beside = target.with_name(f".{target.stem}.partial-{os.getpid()}{target.suffix}")
    try:
        yield beside
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
