"""Time Kinema's work and that of diffusers' pipeline, run alternately, and print their ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

Work = Callable[[], Any]


def print_ratios(runs: int, *pairs: tuple[str, Work, Work]) -> None:
    """Medians of CPU and wall-clock seconds. pairs: (what, Kinema's work, diffusers')."""
    for name, mine, theirs in pairs:
        found = [(timed(mine), timed(theirs)) for _ in range(runs)]
        for kind, number in (("CPU", 0), ("wall", 1)):
            one, other = (statistics.median(pair[who][number] for pair in found) for who in (0, 1))
            print(f"{name}, {kind} seconds: {one:.3f} and {other:.3f} (diffusers), ratio {one / other:.2f}")


def timed(work: Work) -> tuple[float, float]:
    """(CPU, wall-clock) seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall
