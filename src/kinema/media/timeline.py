"""Convert frame times to a constant frame rate, with exact fractions for fps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

MIN_FPS, MAX_FPS = 0.1, 1000.0
"""Legal frame rates: a frame of an hour, for example, would come with an hour of sound."""


@dataclass(frozen=True)
class Timeline:
    """Frames at a constant rate. fps: the rate. sources[k]: index of the file's frame shown as frame k; None if all are
    k."""

    fps: Fraction
    num_frames: int
    sources: tuple[int, ...] | None = None


def exact_rate(fps: float) -> Fraction:
    """fps as a small fraction; 23.976, 29.97, 59.94 etc. become the broadcast rates N * 1000/1001."""
    nearest = round(fps * 1001 / 1000)
    if nearest and abs(fps - round(fps)) > 1e-6 and abs(fps - nearest * 1000 / 1001) < 5e-4 * nearest / 24:
        return Fraction(nearest * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)


def timeline(times: Sequence[float], seconds: float, rates: Iterable[Fraction | None]) -> Timeline:
    """The timeline at the first of `rates` that fits all frame times, else at the average rate with frames held or
    dropped.

    times: the time of each frame in seconds, sorted, starting at 0. seconds: the duration.
    A clip has a variable frame rate if at every rate some frame is more than half a frame off. Frame k of the result is
    then the last one shown by (k + 1/2) / fps, and the number of frames does not change.
    """
    num = len(times)
    for rate in rates:
        if rate and all(abs(time * rate - k) < 0.5 for k, time in enumerate(times)):
            return Timeline(Fraction(rate), num)
    return held(times, exact_rate(num / seconds) if seconds > 0 else Fraction(24), num)


def held(times: Sequence[float], fps: Fraction, num_frames: int) -> Timeline:
    """The timeline of `num_frames` frames at `fps` from frames at `times`, each held until the next is due."""
    sources, at = [], 0
    for k in range(num_frames):
        while at + 1 < len(times) and times[at + 1] * fps <= k + 0.5:
            at += 1
        sources.append(at)
    return Timeline(fps, num_frames, None if sources == list(range(len(times))) else tuple(sources))
