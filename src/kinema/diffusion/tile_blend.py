"""Decode tiles of latents and blend them, as diffusers' autoencoders do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class TileGrid:
    """Where tiles begin in latents, their size there, and in pixels how far they overlap and how much of each is kept.
    vae: an autoencoder with diffusers' `blend_v` and `blend_h`."""

    vae: Any
    tops: Sequence[int]
    lefts: Sequence[int]
    height: int
    width: int
    blend_rows: int
    blend_columns: int
    kept_rows: int
    kept_columns: int

    def blended(self, z: torch.Tensor, decode: Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]) -> torch.Tensor:
        """Decode all tiles of z (..., H, W) and blend them. decode: of one tile, with its (top, left)."""
        above: list[torch.Tensor] = []
        rows = []
        for top in self.tops:
            row: list[torch.Tensor] = []
            for number, left in enumerate(self.lefts):
                pixels = decode(z[..., top : top + self.height, left : left + self.width], (top, left))
                if above:
                    pixels = self.vae.blend_v(above[number], pixels, self.blend_rows)
                if row:
                    pixels = self.vae.blend_h(row[-1], pixels, self.blend_columns)
                row.append(pixels)
            rows.append(torch.cat([pixels[..., : self.kept_rows, : self.kept_columns] for pixels in row], dim=-1))
            above = row
        return torch.cat(rows, dim=-2)
