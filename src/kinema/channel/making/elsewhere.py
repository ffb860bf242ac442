"""Clips that are made on somebody else's machine: what all ways there have in common."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ..writing.breaker import Breaker
from .makers import Down

MAX_BYTES = 500 * 10**6
"""Of a clip from elsewhere."""


def attempt(breaker: Breaker, sleep: Callable[[float], None], fetch: Callable[[Path], None]) -> None:
    """One try, with a folder for what is fetched, once the breaker lets it; it hears of Down and of success."""
    while breaker.is_open:
        sleep(1.0)
    with tempfile.TemporaryDirectory(prefix="kinema-elsewhere-") as folder:
        try:
            fetch(Path(folder))
        except Down:
            breaker.failed()
            raise
    breaker.succeeded()
