"""Windows in time over a clip that is longer than what a model makes at once. Plain arithmetic."""

from __future__ import annotations

from .card import FramesRule
from .plan import Span

OVERLAP = 5
"""Frames that a window shares with the one before it: one latent frame and one more, of four."""


def over_clip(num_frames: int, rule: FramesRule, overlap: int = OVERLAP) -> tuple[Span, ...]:
    """Windows over all of a clip, each of a legal length. One that is longer than the clip reaches beyond its end; of
    several, the last one ends with it, sharing more with the one before."""
    length = rule.trained
    if num_frames <= length:
        return (Span(start=0, stop=_legal(num_frames, rule)),)
    step = max(1, length - overlap)
    starts = [*range(0, num_frames - length, step), num_frames - length]
    return tuple(Span(start=start, stop=start + length) for start in starts)


def after(begin: int, stop: int, rule: FramesRule, known: int) -> tuple[Span, ...]:
    """Windows over the new frames [begin, stop) that follow what is there; the first begins `known` frames earlier,
    and each later one with as many frames of the one before."""
    first = max(0, begin - known)
    if stop - first <= rule.trained:
        return (Span(start=first, stop=first + _legal(stop - first, rule)),)
    return tuple(
        Span(start=first + span.start, stop=first + span.stop) for span in over_clip(stop - first, rule, known)
    )


def before(stop: int, known: int, rule: FramesRule) -> tuple[Span, ...]:
    """Windows over the new frames [0, stop) that lead up to what is there, the last one first: each ends with `known`
    frames of what follows. The earliest may begin before 0."""
    length = rule.trained
    if stop + known <= length:
        legal = _legal(stop + known, rule)
        return (Span(start=stop + known - legal, stop=stop + known),)
    found = [Span(start=stop + known - length, stop=stop + known)]
    while found[-1].start > 0:
        start = max(0, found[-1].start - (length - known))
        found.append(Span(start=start, stop=start + length))
    return tuple(found)


def _legal(num_frames: int, rule: FramesRule) -> int:
    """The smallest legal count that is not below."""
    found = rule.nearest(num_frames)
    return found if found >= num_frames else rule.nearest(found + rule.step)
