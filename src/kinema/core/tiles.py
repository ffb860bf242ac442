"""Tiles over a picture that is larger than what a model makes at once. Plain arithmetic, in pixels."""

from __future__ import annotations

from dataclasses import dataclass

SHARED = 1 / 4
"""What neighbouring tiles share at least, of a tile's side."""


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
        return tuple(
            (left, top)
            for top in starts(self.height, self.tile_height, self.step)
            for left in starts(self.width, self.tile_width, self.step)
        )


def over(size: tuple[int, int], tile: tuple[int, int], step: int) -> Tiling:
    """A tiling that covers a picture of (width, height); its canvas may be larger, for no side is below a tile's and
    each is a multiple of `step`, as those of a tile must be."""
    width, height = (max(side, -(-length // step) * step) for length, side in zip(size, tile))
    return Tiling(width, height, *tile, step)


def starts(length: int, tile: int, step: int) -> tuple[int, ...]:
    """Where tiles begin along one side; the last one ends with it."""
    stride = max(step, int(tile * (1 - SHARED)) // step * step)
    return (*range(0, length - tile, stride), length - tile)
