"""Pictures and masks of a graph as files that a request names: float32 arrays (F, H, W, C) or (F, H, W) in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...conditions import arrays
from .descriptions import MediaUse
from .values import Masks, Pictures
from .vision import SIDE_PX, as_seen

SUFFIX = ".npy"


@dataclass(frozen=True)
class Canvas:
    """The size of a clip in pixels, and its length."""

    width: int
    height: int
    frames: int


def num_frames(media: MediaUse, canvas: Canvas) -> int:
    """Frames of its file."""
    if not media.is_clip:
        return 1
    return canvas.frames if media.pad is not None else min(media.stream.count, canvas.frames)


def shape_of(media: MediaUse, canvas: Canvas) -> tuple[int, ...]:
    if media.seen:
        return (1, SIDE_PX, SIDE_PX, 3)
    channels = (3,) if isinstance(media.stream, Pictures) else ()
    return (num_frames(media, canvas), canvas.height, canvas.width, *channels)


def write_media(media: MediaUse, canvas: Canvas, path: Path) -> None:
    """Write the frames, resized, a block at a time. Raises what their nodes raise."""
    shape = shape_of(media, canvas)
    arrays.write(path, _blocks(media, canvas, shape), shape)


def _blocks(media: MediaUse, canvas: Canvas, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    count, at = min(media.stream.count, shape[0]), 0
    if media.seen and isinstance(media.stream, Pictures):
        yield as_seen(media.stream, media.seen)[None]
        return
    for block in () if media.empty else fitted(media, canvas).blocks(0, count):
        yield block[..., :3] if block.ndim == 4 else block
        at += len(block)
    for _ in range(at, shape[0]):
        yield np.full((1, *shape[1:]), media.pad, np.float32)


def fitted(media: MediaUse, canvas: Canvas) -> Pictures | Masks:
    """The pictures at the clip's size."""
    from .resize import common_upscale

    stream = media.stream
    if (stream.width, stream.height) == (canvas.width, canvas.height):
        return stream
    if isinstance(stream, Masks):
        return common_upscale(stream, canvas.width, canvas.height, media.method, media.crop)
    return common_upscale(stream, canvas.width, canvas.height, media.method, media.crop)


def stand_in(media: MediaUse, canvas: Canvas, path: Path) -> Path:
    """A file of zeros in the media's shape, which takes no space, for planning."""
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape_of(media, canvas)).flush()
    return path
