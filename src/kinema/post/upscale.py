"""enlarge: every frame at a larger size, by plain resampling (no model)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.media.resize import Resample, resize_frames


def enlarge(chunks: Iterable[Chunk], scale: float | tuple[int, int], how: Resample = "lanczos") -> Iterator[Chunk]:
    """The clip `scale` times as large, or at exactly (height, width): then the shape is kept and the rest cut
    off.

    how: "lanczos" (photographs), "bicubic", "nearest" (pixel drawings). Start, fps and sound pass through.
    One chunk is taken for each one given; closing the result closes `chunks`. Raises RequestError on a scale
    below 1 or a size smaller than the frames."""
    if not isinstance(scale, tuple) and scale < 1:
        raise RequestError(f"Scale {scale}.", field="scale", value=scale, legal="1 and up", nearest=1)
    return _enlarged(chunks, scale, how)


def _enlarged(chunks: Iterable[Chunk], scale: float | tuple[int, int], how: Resample) -> Iterator[Chunk]:
    source = iter(chunks)
    try:
        while (chunk := next(source, None)) is not None:
            height, width = chunk.frames.shape[1:3]
            size = scale if isinstance(scale, tuple) else (round(height * scale), round(width * scale))
            if size[0] < height or size[1] < width:
                raise RequestError(
                    f"{size[1]} x {size[0]} is smaller than the clip's {width} x {height}.",
                    field="scale",
                    value=list(size),
                    legal=f"at least {width} x {height}",
                    nearest=[max(size[0], height), max(size[1], width)],
                )
            large = dataclasses.replace(chunk, frames=resize_frames(chunk.frames, size[0], size[1], resample=how))
            del chunk
            yield large
            del large
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
