"""Transitions between shots, and the spans of frames between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

SHORTEST_S = 0.25
"""What lies between two transitions this close belongs to them: the black of a fade, a few frames of a stutter."""


@dataclass(frozen=True, order=True)
class Transition:
    """The frames `first` to `last` (half-open) belong to no shot: those of a fade or dissolve. For a hard cut both are
    the first frame of the new shot."""

    first: int
    last: int


def joined(found: Iterable[Transition], near: int = 0) -> list[Transition]:
    """Transitions of several detectors as one list: those that overlap, or are at most `near` frames apart, become
    one."""
    done: list[Transition] = []
    for each in sorted(found):
        if done and each.first <= done[-1].last + near:
            done[-1] = Transition(done[-1].first, max(done[-1].last, each.last))
        else:
            done.append(each)
    return done


def spans(
    num_frames: int, transitions: Sequence[Transition], fps: float, longest_s: float | None
) -> list[tuple[int, int]]:
    """The shots between joined transitions as half-open spans of frames, without empty ones. A shot longer than
    longest_s is divided into equal parts."""
    edges = [0, *(place for each in transitions for place in (each.first, each.last)), num_frames]
    found: list[tuple[int, int]] = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        start, stop = max(0, start), min(stop, num_frames)
        if stop <= start:
            continue
        parts = 1 if longest_s is None else max(1, math.ceil((stop - start) / fps / longest_s - 1e-6))
        places = [start + round(part * (stop - start) / parts) for part in range(parts + 1)]
        found += [(low, high) for low, high in pairwise(places) if high > low]
    return found
