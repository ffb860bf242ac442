"""Build lazy pictures and masks from others: map, pick, join and pair their frames, a few at a time.

Legend: F frames, H W height and width, C channels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

import numpy as np

from ...core.closing import closed_after
from ...core.errors import RequestError
from ...media.open import MAX_PIXELS
from .values import BLOCK, Blocks, Masks, Pictures

Stream = TypeVar("Stream", Pictures, Masks)
LONGEST_PX = 16_384
MOST_FRAMES = 100_000
"""A graph that multiplies repeats makes no longer batch."""
BLOCK_PIXELS = 2**22
"""Pixels of a block, at most, unless one frame has more."""


def check_size(width: int, height: int) -> None:
    """RequestError unless pictures of this size, in pixels, can be made."""
    if not (1 <= width <= LONGEST_PX and 1 <= height <= LONGEST_PX and width * height <= MAX_PIXELS):
        raise RequestError(
            f"A picture of {width} x {height} pixels.", field="size", value=[width, height],
            legal=f"sides of 1 to {LONGEST_PX:,}, and at most {MAX_PIXELS:,} pixels",
        )  # fmt: skip


def check_count(count: int) -> None:
    """RequestError unless a batch may have this many frames."""
    if not 1 <= count <= MOST_FRAMES:
        raise RequestError(f"A batch of {count:,} frames.", field="frames", value=count, legal=f"1 to {MOST_FRAMES:,}")


def num_of_block(height: int, width: int) -> int:
    """Frames of a block of this size: BLOCK, and fewer of large ones."""
    return max(1, min(BLOCK, BLOCK_PIXELS // (height * width)))


def pieces(blocks: Iterator[np.ndarray], num: int) -> Iterator[np.ndarray]:
    """The same frames in arrays of exactly `num` frames; the last may have fewer. Closes `blocks` at the end."""
    with closed_after(blocks):
        rest: np.ndarray | None = None
        for block in blocks:
            rest = block if rest is None or not len(rest) else np.concatenate([rest, block])
            while len(rest) >= num:
                yield rest[:num]
                rest = rest[num:]
        if rest is not None and len(rest):
            yield rest


def mapped(
    source: Pictures | Masks, function: Callable[[np.ndarray], np.ndarray], height: int, width: int
) -> Blocks:  # fmt: skip
    """Blocks of a batch whose frames, height x width, are made by `function` from as many frames of `source`."""
    num = min(num_of_block(height, width), num_of_block(source.height, source.width))

    def blocks(start: int, stop: int) -> Iterator[np.ndarray]:
        for piece in pieces(source.blocks(start, stop), num):
            yield function(piece)

    return blocks


def paired(
    first: Pictures | Masks,
    second: Pictures | Masks,
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Blocks:
    """As `mapped`, of a frame of each source, which have the same number of frames."""
    num = min(num_of_block(first.height, first.width), num_of_block(second.height, second.width))

    def blocks(start: int, stop: int) -> Iterator[np.ndarray]:
        with contextlib.ExitStack() as stack:
            both = [stack.enter_context(contextlib.closing(pieces(each.blocks(start, stop), num)))  # type: ignore[type-var]
                    for each in (first, second)]  # fmt: skip
            yield from map(function, *both)

    return blocks


@overload
def picked(source: Pictures, start: int, count: int) -> Pictures: ...
@overload
def picked(source: Masks, start: int, count: int) -> Masks: ...
def picked(source: Any, start: int, count: int) -> Any:
    """Frames `start` to `start` + `count`."""
    return replace(source, count=count, blocks=lambda first, last: source.blocks(start + first, start + last))


@overload
def repeated(source: Pictures, count: int) -> Pictures: ...
@overload
def repeated(source: Masks, count: int) -> Masks: ...
def repeated(source: Any, count: int) -> Any:
    """The batch over and over, up to `count` frames. One picture is read once for all of a range."""
    check_count(count)
    if count <= source.count:
        return source if count == source.count else picked(source, 0, count)
    num = num_of_block(source.height, source.width)

    def of_one(start: int, stop: int) -> Iterator[np.ndarray]:
        if start < stop:
            with closed_after(found := source.blocks(0, 1)):
                frame = next(found)
            for first in range(start, stop, num):
                yield np.repeat(frame, min(num, stop - first), axis=0)

    def of_many(start: int, stop: int) -> Iterator[np.ndarray]:
        while start < stop:
            first = start % source.count
            last = min(source.count, first + stop - start)
            yield from source.blocks(first, last)
            start += last - first

    return replace(source, count=count, blocks=of_one if source.count == 1 else of_many)


def joined(sources: Sequence[Pictures]) -> Pictures:
    """The frames of several batches of one size, one after the other."""
    count = sum(each.count for each in sources)
    check_count(count)

    def blocks(start: int, stop: int) -> Iterator[np.ndarray]:
        begin = 0
        for each in sources:
            first, last = max(0, start - begin), min(each.count, stop - begin)
            if first < last:
                yield from each.blocks(first, last)
            begin += each.count

    return replace(sources[0], count=count, blocks=blocks)


def constant(frame_HW: np.ndarray) -> Masks:
    """A mask of one frame."""
    frame_FHW = frame_HW.astype(np.float32)[None]
    height, width = frame_HW.shape
    return Masks(1, height, width, lambda start, stop: iter([frame_FHW[start:stop]] if start < stop else []))
