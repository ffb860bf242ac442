"""How far the work is, on stderr: one live line on a terminal, a few plain lines elsewhere, nothing beside `--json`."""

from __future__ import annotations

import sys

from ..core.display import Display, Line, Lines, terminal
from . import exits
from .say import note, say_aside


def reporter(as_json: bool = False, *, begins: bool = True) -> Display:
    """A listener for `core.events` and a context: silent with `--json`, a live line on a terminal, else lines. begins:
    the work of the command begins with it (exits.py)."""
    if begins:
        exits.begin()
    if as_json:
        return Display()
    return Line(sys.stderr, note=note) if terminal(sys.stderr) else Lines(say_aside)
