"""Tiled: a family on a canvas larger than what its model makes at once. To the loop it is a family like any other.

Every step asks the model for each tile and blends what it says where tiles overlap, so that they agree before there is
a picture (MultiDiffusion, arXiv 2302.08113, equation 5). Memory is that of one tile, beside latents and pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.chunk import Chunk
from ..core.family import Cond, Family, Predict, Prepared, Way, Window
from ..core.plan import Plan, Span
from ..core.windows import Tiling, ramp


class Tiled:
    """`family` on the canvas of a tiling. Plans that come in have the size of the canvas, and a window of its size
    stands in for their source."""

    def __init__(self, family: Family, tiling: Tiling) -> None:
        self.family, self.tiling, self.card = family, tiling, family.card

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        return self.family.weight_files(plan)

    def notes(self, plan: Plan) -> tuple[str, ...]:
        return self.family.notes(plan)

    def prepare(self, plan: Plan, window: Window | None = None) -> Any:
        """`Prepared` of every tile."""
        assert window is not None
        return [self.family.prepare(self._tile(plan), self._cut(window, *place)) for place in self.tiling.places]

    def encode(self, plan: Plan, prepared: list[Prepared] | Any) -> list[Cond]:
        return [self.family.encode(self._tile(plan), each) for each in prepared]

    def latent_shape(self, cond: list[Cond], span: Span) -> tuple[int, ...]:
        *front, rows, columns = self.family.latent_shape(cond[0], span)
        tiling = self.tiling
        return (*front, rows * tiling.height // tiling.tile_height, columns * tiling.width // tiling.tile_width)

    def scheduler(self, plan: Plan) -> Any:
        return self.family.scheduler(self._tile(plan))

    def begin(
        self, plan: Plan, cond: list[Cond], scheduler: Any, noise_BCTHW: torch.Tensor
    ) -> tuple[torch.Tensor, int]:
        tile, first = self._tile(plan), 0
        blend = Blend(self.tiling, noise_BCTHW)
        for number, cut in enumerate(blend.cuts):
            part, first = self.family.begin(tile, cond[number], scheduler, noise_BCTHW[cut])
            blend.add(number, part)
        return blend.finished(), first

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> Sequence[Way]:
        return self.family.guidance(self._tile(plan), span, scheduler)

    def predict(self, cond: list[Cond], span: Span) -> Predict:
        tiles = [self.family.predict(each, span) for each in cond]

        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            blends = {branch: Blend(self.tiling, x_BCTHW) for branch in branches}
            for number, tile in enumerate(tiles):
                cut = blends[branches[0]].cuts[number]
                for branch, part in tile(x_BCTHW[cut], t, branches).items():
                    blends[branch].add(number, part)
            return {branch: blend.finished() for branch, blend in blends.items()}

        return run

    def preview(
        self, x_BCTHW: torch.Tensor, output_BCTHW: torch.Tensor, sigma: float, plan: Plan, span: Span
    ) -> np.ndarray:
        return self.family.preview(x_BCTHW, output_BCTHW, sigma, plan, span)

    def decode(self, latents_BCTHW: torch.Tensor, plan: Plan, span: Span) -> Iterator[Chunk]:
        """All frames of the span at once, for tiles are decoded one after the other."""
        tile, tiling = self._tile(plan), self.tiling
        blend = Blend(tiling, latents_BCTHW)
        pixels = Blend(tiling, torch.zeros(1, 3, span.num_frames, tiling.height, tiling.width))
        for number, cut in enumerate(blend.cuts):
            chunks = list(self.family.decode(latents_BCTHW[cut], tile, span))
            frames_FHWC = np.concatenate([chunk.frames for chunk in chunks])
            pixels.add(number, torch.from_numpy(frames_FHWC).permute(3, 0, 1, 2)[None].float())
        whole_FHWC = pixels.finished()[0].permute(1, 2, 3, 0).round().clamp(0, 255).to(torch.uint8).numpy()
        yield Chunk(whole_FHWC, span.start, plan.fps)

    def _tile(self, plan: Plan) -> Plan:
        return plan.model_copy(update={"width": self.tiling.tile_width, "height": self.tiling.tile_height})

    def _cut(self, window: Window, left: int, top: int) -> Window:
        rows, columns = slice(top, top + self.tiling.tile_height), slice(left, left + self.tiling.tile_width)
        return Window(window.frames_FHWC[:, rows, columns], window.mask_FHW[:, rows, columns])


class Blend:
    """The weighted mean of tiles, laid over a canvas of `like`'s shape (..., H, W) and device, in float32."""

    def __init__(self, tiling: Tiling, like: torch.Tensor) -> None:
        rows, columns = like.shape[-2:]
        down, across = tiling.height / rows, tiling.width / columns
        size = (round(tiling.tile_height / down), round(tiling.tile_width / across))
        self.cuts = [
            (..., slice(y := round(top / down), y + size[0]), slice(x := round(left / across), x + size[1]))
            for left, top in tiling.places
        ]
        self.weights = []
        for _, vertical, horizontal in self.cuts:
            down_H, across_W = (
                torch.tensor(ramp(tile, before=cut.start > 0, after=cut.stop < length))
                for tile, cut, length in zip(size, (vertical, horizontal), (rows, columns))
            )
            self.weights.append((down_H[:, None] * across_W[None]).to(like.device))
        self.sum = torch.zeros(like.shape, dtype=torch.float32, device=like.device)
        self.weight = torch.zeros(rows, columns, device=like.device)

    def add(self, number: int, part: torch.Tensor) -> None:
        self.sum = self.sum.to(part.device)
        weight = self.weights[number].to(part.device)
        self.weight = self.weight.to(part.device)
        self.sum[self.cuts[number]] += weight * part.float()
        self.weight[self.cuts[number]] += weight

    def finished(self) -> torch.Tensor:
        return self.sum / self.weight
