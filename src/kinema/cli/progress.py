"""Progress on stderr: one live line on a terminal, a few plain lines elsewhere, nothing with `--json`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..core.display import Display, Line, Lines, terminal
from ..core.events import OnEvent, Progress
from . import exits
from .say import note, say_aside


def reporter(as_json: bool = False, *, begins: bool = True) -> Display:
    """Return a callback for `core.events` that is also a context: silent with `--json`, a live line on a terminal, else
    lines. begins: the work of the command starts here (exits.py)."""
    if begins:
        exits.begin()
    if as_json:
        return Display()
    return Line(sys.stderr, note=note) if terminal(sys.stderr) else Lines(say_aside)


LARGE = 64 * 2**20
"""Transfers of fewer bytes than this show no progress: they take less than two seconds."""


def transferred(on_event: OnEvent, stage: str, before: int = 0, total: int | None = None) -> Callable[[int, int], None]:
    """Return a callback (bytes done, bytes of the file) that reports a long transfer in MiB. before, total: bytes of
    the files before this one, and of all; by default it is the only one."""

    def report(done: int, size: int) -> None:
        whole = size if total is None else total
        if whole > LARGE:
            on_event(Progress(stage, (before + done) // 2**20, whole // 2**20))

    return report
