"""Windows: splitting clips and pictures that exceed a model's size, and weights to blend the parts. Plain arithmetic.

All windows follow one rule: equal lengths, a fixed stride, the last one aligned to the end (`starts`). In time they are
spans of a clip or a model's context frames (`context`), in space tiles (`Tiling`). Overlaps are blended by normalised
weights (`pyramid`, `ramp`) or by a crossfade (`fade`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .card import FramesRule
from .plan import Span

OVERLAP = 5
"""Frames that a window shares with the one before it: the first latent frame (one frame) and one more (four)."""

TILE_OVERLAP = 1 / 4
"""Minimum overlap of neighbouring tiles, and length of their weight ramps, as a fraction of a tile's side."""


def starts(length: int, window: int, stride: int) -> tuple[int, ...]:
    """Start positions of windows over [0, length): every `stride` (1 or more), and one aligned to the end. A single 0
    if one window covers all."""
    if length <= window:
        return (0,)
    return (*range(0, length - window, stride), length - window)


# In time: windows of a clip


def over_clip(num_frames: int, rule: FramesRule, overlap: int = OVERLAP) -> tuple[Span, ...]:
    """Windows over a whole clip, each of a legal length. A single window may extend beyond the end; the last of several
    ends with the clip, with a larger overlap."""
    if num_frames <= rule.trained:
        return (Span(start=0, stop=_legal(num_frames, rule)),)
    found = starts(num_frames, rule.trained, max(1, rule.trained - overlap))
    return tuple(Span(start=start, stop=start + rule.trained) for start in found)


def after(begin: int, stop: int, rule: FramesRule, context: int) -> tuple[Span, ...]:
    """Windows over the new frames [begin, stop) that follow existing ones; each begins with `context` frames that
    exist already or belong to the window before."""
    first = max(0, begin - context)
    if stop - first <= rule.trained:
        return (Span(start=first, stop=first + _legal(stop - first, rule)),)
    return tuple(
        Span(start=first + span.start, stop=first + span.stop) for span in over_clip(stop - first, rule, context)
    )


def before(stop: int, context: int, rule: FramesRule) -> tuple[Span, ...]:
    """Windows over the new frames [0, stop) that precede existing ones, the last one first; each ends with `context`
    frames that follow it. The earliest may begin before 0."""
    length = rule.trained
    if stop + context <= length:
        legal = _legal(stop + context, rule)
        return (Span(start=stop + context - legal, stop=stop + context),)
    found = [Span(start=stop + context - length, stop=stop + context)]
    while found[-1].start > 0:
        start = max(0, found[-1].start - (length - context))
        found.append(Span(start=start, stop=start + length))
    return tuple(found)


def _legal(num_frames: int, rule: FramesRule) -> int:
    """The smallest legal count of at least `num_frames`."""
    found = rule.nearest(num_frames)
    return found if found >= num_frames else rule.nearest(found + rule.step)


# In time: context frames of a model, at every step


def context(num_frames: int, length: int, overlap: int, *, looped: bool = False) -> tuple[range, ...]:
    """Context windows of `length` frames over a clip; neighbours share `overlap` or more. looped: the last windows
    extend beyond the end and wrap around (`index % num_frames`), so that no frame is at an edge."""
    if num_frames <= length:
        return (range(num_frames),)
    stride = max(1, length - overlap)
    found = range(0, num_frames, stride) if looped else starts(num_frames, length, stride)
    return tuple(range(start, start + length) for start in found)


def batched(num_frames: int, length: int) -> tuple[range, ...]:
    """Windows one after the other; the last may be shorter."""
    return tuple(range(start, min(start + length, num_frames)) for start in range(0, num_frames, length))


# In space: tiles


@dataclass(frozen=True)
class Tiling:
    """Tiles of one size over a canvas of `width` x `height`. Their positions are multiples of `step`."""

    width: int
    height: int
    tile_width: int
    tile_height: int
    step: int

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """(left, top) of every tile, row by row."""
        across, down = (
            starts(length, tile, max(self.step, int(tile * (1 - TILE_OVERLAP)) // self.step * self.step))
            for length, tile in ((self.width, self.tile_width), (self.height, self.tile_height))
        )
        return tuple((left, top) for top in down for left in across)


def over_picture(size: tuple[int, int], tile: tuple[int, int], step: int) -> Tiling:
    """A tiling that covers a picture of (width, height). Its canvas may be larger: each side is a multiple of `step`
    and at least a tile's."""
    width, height = (max(side, -(-length // step) * step) for length, side in zip(size, tile))
    return Tiling(width, height, *tile, step)


# Overlaps


def pyramid(length: int) -> tuple[float, ...]:
    """Weights of a window's frames, rising from its ends to its middle. Never 0."""
    return tuple(1.0 + min(place, length - 1 - place) for place in range(length))


SMALLEST_SHARE = 1e-37
"""The weight of a frame at the outer end of an overlap, which a weight of 0 would lose."""


def fused(how: str, window: range, num_frames: int, overlap: int) -> tuple[float, ...]:
    """The weights of a window's frames, by the names of ComfyUI: "pyramid"; "relative", falling linearly from the
    middle to nearly 0; "flat"; "overlap-linear", rising and falling over the frames shared with a neighbour."""
    length = len(window)
    if how == "pyramid":
        return pyramid(length)
    if how == "relative":
        middle, half = (window[0] + window[-1]) / 2, (window[-1] - window[0] + 0.01) / 2
        return tuple(max(0.01, 1 - abs(place - middle) / half) for place in window)
    weights = [1.0] * length
    shared = min(overlap, length)
    if how == "overlap-linear" and shared:
        steps = max(1, shared - 1)
        rising = [SMALLEST_SHARE + (1 - SMALLEST_SHARE) * place / steps for place in range(shared)]
        if window[0] > 0:
            weights[:shared] = rising
        if window[-1] < num_frames - 1:
            weights[length - shared :] = rising[::-1]
    return tuple(weights)


@lru_cache(64)
def ramp(length: int, before: bool, after: bool) -> tuple[float, ...]:
    """Weights of a tile along one side: rising over its outer quarter where a neighbour is `before` or `after` it, 1
    elsewhere. Never 0."""
    edge = length * TILE_OVERLAP
    rising = [min(1.0, (place + 0.5) / edge) for place in range(length)]
    flat = [1.0] * length
    return tuple(a * b for a, b in zip(rising if before else flat, reversed(rising) if after else flat))


def fade(count: int) -> tuple[float, ...]:
    """Weights of the later window over `count` shared frames: equal steps strictly between 0 and 1."""
    return tuple((place + 1) / (count + 1) for place in range(count))
