"""Which frames of a clip go on air where one shot goes on from another: none twice, and no pause between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from ...core.chunk import Chunk
from ..conform import LEFT_OUT_S


def in_whole_seconds(frames: int, fps: float) -> int:
    """How many frames of a clip to keep so that it fills whole seconds (conforming would hold its last frame until it
    does), where that leaves out LEFT_OUT_S at most; all of them elsewhere."""
    over_s = frames / fps % 1.0
    whole = round((frames / fps - over_s) * fps)
    return whole if 0 < whole < frames and over_s <= LEFT_OUT_S else frames


def part(chunks: Iterable[Chunk], start: int, stop: int) -> Iterator[Chunk]:
    """Frames start to stop (half-open) of a clip, as a clip of their own. The source is closed."""
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
