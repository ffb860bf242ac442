"""A network applied to a frame in tiles, so that memory depends on the tile and not on the frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .weights import SuperResolution

TILE, OVERLAP = 256, 32
"""Side in px of a tile's own area, and of the context around it. The compact network sees 18 px."""


@dataclass(frozen=True)
class Tile:
    """Along one axis: own area [start, stop), seen with its context as [first, last)."""

    start: int
    stop: int
    first: int
    last: int


def tiles_of(length: int, tile: int, overlap: int) -> Iterator[Tile]:
    """Tiles of nearly equal size along an axis of `length` px; one if it fits `tile`."""
    count = -(-length // tile)
    edges = [round(length * k / count) for k in range(count + 1)]
    for start, stop in pairwise(edges):
        yield Tile(start, stop, max(0, start - overlap), min(length, stop + overlap))


def in_tiles(
    network: SuperResolution, frames_BTCHW: Tensor, tile: int = TILE, overlap: int = OVERLAP
) -> Tensor:  # fmt: skip
    """Upscale the middle frames, (B, T, 3, H, W) float in [0, 1] to uint8 (B, s H, s W, 3) on the CPU. Each tile is
    computed with `overlap` px of context, which is cropped from its result."""
    height, width = frames_BTCHW.shape[-2:]
    if not network.tiles:
        tile = max(height, width)
    scale = network.scale
    made = torch.empty(len(frames_BTCHW), scale * height, scale * width, 3, dtype=torch.uint8)
    for down in tiles_of(height, tile, overlap):
        for across in tiles_of(width, tile, overlap):
            seen = frames_BTCHW[..., down.first : down.last, across.first : across.last]
            large = network.module(seen)
            top, left = scale * (down.start - down.first), scale * (across.start - across.first)
            own = large[
                ..., top : top + scale * (down.stop - down.start), left : left + scale * (across.stop - across.start)
            ]
            made[:, scale * down.start : scale * down.stop, scale * across.start : scale * across.stop] = (
                own.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu()
            )
    return made
