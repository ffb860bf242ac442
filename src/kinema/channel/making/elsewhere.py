"""Clips that are made on somebody else's machine: what all ways there have in common."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ...core.errors import KinemaError
from ...core.leftovers import temporary_folder
from ..http_client import TooSlow, Unreachable
from ..writing.breaker import Breaker
from .job import Down, Late

MAX_BYTES = 500 * 10**6
"""Of a clip from elsewhere."""


def attempt(breaker: Breaker, sleep: Callable[[float], None], fetch: Callable[[Path], None]) -> None:
    """One try, with a fresh folder for what is fetched, once the breaker lets it; it hears of Down and of success."""
    while breaker.is_open:
        sleep(1.0)
    with temporary_folder("elsewhere") as folder:
        try:
            fetch(folder)
        except TooSlow as error:
            breaker.failed()
            raise Late(str(error)) from None
        except Unreachable as error:
            breaker.failed()
            raise Down(str(error)) from None
        except Down:
            breaker.failed()
            raise
    breaker.succeeded()


def accept(fetched: Path, target: Path, where: str) -> None:
    """Take a fetched file for the clip that was asked for, if it is one. KinemaError."""
    from ...media.read import probe

    if (frames := probe(fetched).num_frames) < 2:
        raise KinemaError(f"{where} gave no clip but a picture ({frames} frame).")
    shutil.copyfile(fetched, target)
