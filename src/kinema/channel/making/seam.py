"""Trim clips where one shot continues another, so that no frame airs twice and no frame is held between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from ...core.chunk import Chunk
from ..conform import LEFT_OUT_S


def in_whole_seconds(frames: int, fps: float) -> int:
    """The number of frames in whole seconds, if at most LEFT_OUT_S is dropped, else `frames`. Conforming would repeat
    the last frame to fill a second."""
    over_s = frames / fps % 1.0
    whole = round((frames / fps - over_s) * fps)
    return whole if 0 < whole < frames and over_s <= LEFT_OUT_S else frames


def part(chunks: Iterable[Chunk], start: int, stop: int) -> Iterator[Chunk]:
    """Yield frames start to stop (half-open) of a clip, renumbered from 0. The source is closed."""
    source = iter(chunks)
    try:
        for chunk in source:
            low, high = max(start - chunk.start, 0), min(stop - chunk.start, len(chunk.frames))
            if low < high:
                yield dataclasses.replace(
                    chunk, frames=chunk.frames[low:high], start=chunk.start + low - start, audio=None
                )
            if chunk.stop >= stop:
                return
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
