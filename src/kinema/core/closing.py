"""Close a source of frames when its reader is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def closed_after(source: Any) -> Iterator[None]:
    """Close `source` at the end of the block, however it ends: a generator stops its work. A list has nothing to
    close."""
    try:
        yield
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
