"""Pictures and masks of a graph as files that a request names: float32 arrays (F, H, W, C) or (F, H, W) in [0, 1]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .descriptions import MediaUse
from .values import Masks, Pictures

SUFFIX = ".npy"
STAND_IN_PX = 64
"""Longest side of a stand-in of a size that is not known yet."""


def num_frames(media: MediaUse) -> int:
    count = media.stream.count
    return count if media.frames is None else min(count, media.frames)


def shape_of(media: MediaUse, width: int, height: int) -> tuple[int, ...]:
    """The shape of its array at this size."""
    channels = (3,) if isinstance(media.stream, Pictures) else ()
    return (num_frames(media), height, width, *channels)


def write_media(media: MediaUse, width: int, height: int, path: Path) -> None:
    """Write the frames, resized, a block at a time. Raises what their nodes raise."""
    stream = fitted(media, width, height)
    array_FHWC = _opened(path, shape_of(media, width, height))
    at = 0
    for block in stream.blocks(0, num_frames(media)):
        array_FHWC[at : at + len(block)] = block[..., :3] if isinstance(stream, Pictures) else block
        at += len(block)
    array_FHWC.flush()


def fitted(media: MediaUse, width: int, height: int) -> Pictures | Masks:
    from .resize import common_upscale

    stream: Pictures | Masks = media.stream
    if (stream.width, stream.height) == (width, height):
        return stream
    if isinstance(stream, Masks):
        return common_upscale(stream, width, height, media.method, media.crop)
    return common_upscale(stream, width, height, media.method, media.crop)


def stand_in(media: MediaUse, size: tuple[int, int] | None, path: Path) -> Path:
    """A file of zeros of the media's length, which takes no space, for planning. size: (width, height); None: not
    known; the media's own shape, small."""
    width, height = size or small(media.stream.width, media.stream.height)
    _opened(path, shape_of(media, width, height)).flush()
    return path


def small(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, STAND_IN_PX / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _opened(path: Path, shape: tuple[int, ...]) -> Any:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
