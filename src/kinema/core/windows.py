"""Windows: how what is larger than a model makes at once is cut up, and how the parts are blended again. Arithmetic.

One rule for all of them: windows of one length, a stride apart, the last one ending with the whole (`starts`). In time
they are spans of a clip or a model's context frames (`context`), in space tiles (`Tiling`). Two ways to blend what
neighbours share: weights that are summed and divided by (`pyramid`, `ramp`), and a crossfade (`fade`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .card import FramesRule
from .plan import Span

OVERLAP = 5
"""Frames that a window shares with the one before it: one latent frame and one more, of four."""

TILE_OVERLAP = 1 / 4
"""What neighbouring tiles share at least, and what their weights rise over, of a tile's side."""


def starts(length: int, window: int, stride: int) -> tuple[int, ...]:
    """First places of windows over [0, length): every `stride` (1 or more), and one that ends with the whole. A single
    0 where one window holds it all."""
    if length <= window:
        return (0,)
    return (*range(0, length - window, stride), length - window)


# In time: windows of a clip


def over_clip(num_frames: int, rule: FramesRule, overlap: int = OVERLAP) -> tuple[Span, ...]:
    """Windows over all of a clip, each of a legal length. One that is longer than the clip reaches beyond its end; of
    several, the last one ends with it, sharing more with the one before."""
    if num_frames <= rule.trained:
        return (Span(start=0, stop=_legal(num_frames, rule)),)
    found = starts(num_frames, rule.trained, max(1, rule.trained - overlap))
    return tuple(Span(start=start, stop=start + rule.trained) for start in found)


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


# In time: context frames of a model, at every step


def context(num_frames: int, length: int, overlap: int, *, looped: bool = False) -> tuple[range, ...]:
    """Context windows over a clip of which a model sees `length` frames at once; neighbours share `overlap` or more.
    looped: the last windows reach beyond the end, so that frame `index % num_frames` of them is also the clip's
    beginning, and no frame is an edge."""
    if num_frames <= length:
        return (range(num_frames),)
    stride = max(1, length - overlap)
    found = range(0, num_frames, stride) if looped else starts(num_frames, length, stride)
    return tuple(range(start, start + length) for start in found)


# In space: tiles


@dataclass(frozen=True)
class Tiling:
    """Tiles of one size over a canvas of `width` x `height`. Places are first pixels, each a multiple of `step`."""

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
    """A tiling that covers a picture of (width, height); its canvas may be larger, for no side is below a tile's and
    each is a multiple of `step`, as those of a tile must be."""
    width, height = (max(side, -(-length // step) * step) for length, side in zip(size, tile))
    return Tiling(width, height, *tile, step)


# What neighbours share


def pyramid(length: int) -> tuple[float, ...]:
    """Weights of a window's frames: the farther from its ends the more. Never 0."""
    return tuple(1.0 + min(place, length - 1 - place) for place in range(length))


@lru_cache(64)
def ramp(length: int, before: bool, after: bool) -> tuple[float, ...]:
    """Weights of a tile along one side: rising over its outer quarter where a neighbour is `before` or `after` it, 1
    elsewhere. Never 0."""
    edge = length * TILE_OVERLAP
    rising = [min(1.0, (place + 0.5) / edge) for place in range(length)]
    flat = [1.0] * length
    return tuple(a * b for a, b in zip(rising if before else flat, reversed(rising) if after else flat))


def fade(count: int) -> tuple[float, ...]:
    """The later window's shares of `count` frames that two windows share: equal steps between 0 and 1, neither of which
    is among them."""
    return tuple((place + 1) / (count + 1) for place in range(count))
