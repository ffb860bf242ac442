"""Frame times to one constant rate: exact fractions for fps, and what to do with clips of variable rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

MIN_FPS, MAX_FPS = 0.1, 1000.0
"""Clips of other rates are neither read nor written: a frame of an hour would bring an hour of sound with it."""


@dataclass(frozen=True)
class Timeline:
    """fps: the constant rate; sources[k]: the index of the file's frame shown as frame k, None when it is k
    itself."""

    fps: Fraction
    num_frames: int
    sources: tuple[int, ...] | None = None


def exact_rate(fps: float) -> Fraction:
    """fps as a small fraction; 23.976, 29.97, 59.94 and the like become the broadcast rates N * 1000/1001."""
    nearest = round(fps * 1001 / 1000)
    if nearest and abs(fps - round(fps)) > 1e-6 and abs(fps - nearest * 1000 / 1001) < 5e-4 * nearest / 24:
        return Fraction(nearest * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)


def timeline(times: Sequence[float], seconds: float, rates: Iterable[Fraction | None]) -> Timeline:
    """The rate among `rates` that all frame times agree with, else the average rate with frames held or left
    out.

    times: when each frame is shown, seconds, rising, the first is 0. seconds: the whole length.
    A clip is of variable rate when some frame is more than half a frame from its place at every offered rate.
    Then frame k of the result is the last one shown by (k + 1/2) / fps, and the number of frames stays what
    it was.
    """
    num = len(times)
    for rate in rates:
        if rate and all(abs(time * rate - k) < 0.5 for k, time in enumerate(times)):
            return Timeline(Fraction(rate), num)
    return held(times, exact_rate(num / seconds) if seconds > 0 else Fraction(24), num)


def held(times: Sequence[float], fps: Fraction, num_frames: int) -> Timeline:
    """`num_frames` frames at `fps` out of frames shown at `times`, each held until the next is due."""
    sources, at = [], 0
    for k in range(num_frames):
        while at + 1 < len(times) and times[at + 1] * fps <= k + 0.5:
            at += 1
        sources.append(at)
    return Timeline(fps, num_frames, None if sources == list(range(len(times))) else tuple(sources))
