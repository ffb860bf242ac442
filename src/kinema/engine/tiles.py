"""Tiled: a wrapper that runs a family on a canvas larger than its model's; it implements the Family interface.

Every step runs the model on each tile and blends the predictions where tiles overlap (MultiDiffusion, arXiv 2302.08113,
equation 5). Memory is that of one tile, plus the latents and pixels of the canvas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import torch

from ..core.chunk import Chunk
from ..core.family import Cond, Family, Latents, Predict, Prepared, Window
from ..core.plan import Plan, Span
from ..core.windows import Tiling, ramp
from ..diffusion.latents import each


class FamilyWrapper:
    """A wrapper around a family that delegates everything it does not override."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["family"], name)


def tiled(family: Family, tiling: Tiling) -> Family:
    """Wrap `family` for the canvas of a tiling. Plans may have the size of a tile or of the canvas; a window of the
    canvas's size replaces their source. Latents without spatial dimensions (sound) are shared by all tiles."""
    return cast(Family, Tiled(family, tiling))


class Tiled(FamilyWrapper):
    """See `tiled`. Its conditions are a list with those of each tile."""

    def __init__(self, family: Family, tiling: Tiling) -> None:
        super().__init__(family)
        self.tiling = tiling

    def prepare(self, plan: Plan, window: Window | None = None) -> list[Prepared]:
        assert window is not None
        return [self.family.prepare(self._tile(plan), self._cut(window, *place)) for place in self.tiling.places]

    def encode(self, plan: Plan, prepared: list[Prepared]) -> list[Cond]:
        return [self.family.encode(self._tile(plan), one) for one in prepared]

    def latent_shape(self, cond: list[Cond], span: Span) -> Any:
        tiling = self.tiling

        def whole(shape: tuple[int, ...]) -> tuple[int, ...]:
            if len(shape) < SPATIAL:
                return shape
            *front, rows, columns = shape
            return (*front, rows * tiling.height // tiling.tile_height, columns * tiling.width // tiling.tile_width)

        return each(whole, self.family.latent_shape(cond[0], span))

    def begin(self, plan: Plan, cond: list[Cond], scheduler: Any, noise: Latents) -> tuple[Any, int]:
        tile, first, blends = self._tile(plan), 0, self._blends(noise)
        for number, one in enumerate(cond):
            part, first = self.family.begin(tile, one, scheduler, _of_tile(blends, number, noise))
            _add(blends, number, part)
        return _finished(blends), first

    def predict(self, cond: list[Cond], span: Span) -> Predict:
        tiles = [self.family.predict(one, span) for one in cond]

        def run(x: Latents, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, Any]:
            found = {branch: self._blends(x) for branch in branches}
            for number, tile in enumerate(tiles):
                for branch, part in tile(_of_tile(found[branches[0]], number, x), t, branches).items():
                    _add(found[branch], number, part)
            return {branch: _finished(blends) for branch, blends in found.items()}

        return run

    def preview(self, x: Latents, output: Latents, sigma: float, plan: Plan, span: Span) -> np.ndarray:
        """A preview, decoded tile by tile."""
        tile, blends = self._tile(plan), self._blends(x)
        return self._together(
            self.family.preview(_of_tile(blends, number, x), _of_tile(blends, number, output), sigma, tile, span)
            for number in range(len(self.tiling.places))
        )

    def decode(self, latents: Latents, plan: Plan, span: Span) -> Iterator[Chunk]:
        """Decode all frames of the span at once, because tiles are decoded one after another. The sound is the first
        tile's; all tiles share its latents."""
        tile, blends = self._tile(plan), self._blends(latents)
        sounds: list[np.ndarray | None] = []

        def decoded(number: int) -> np.ndarray:
            chunks = list(self.family.decode(_of_tile(blends, number, latents), tile, span))
            if number == 0:
                sounds.extend(chunk.audio for chunk in chunks)
            return np.concatenate([chunk.frames for chunk in chunks])

        whole_FHWC = self._together(decoded(number) for number in range(len(self.tiling.places)))
        audio = [sound for sound in sounds if sound is not None]
        yield Chunk(whole_FHWC, span.start, plan.fps, np.concatenate(audio) if audio else None)

    def _together(self, tiles: Iterable[np.ndarray]) -> np.ndarray:
        """Blend decoded tiles, uint8 (F, h, w, 3), to frames of the canvas (F, H, W, 3)."""
        pixels: Blend | None = None
        for number, frames_FHWC in enumerate(tiles):
            size = (1, 3, len(frames_FHWC), self.tiling.height, self.tiling.width)
            pixels = pixels or Blend(self.tiling, torch.zeros(size))
            pixels.add(number, torch.from_numpy(frames_FHWC).permute(3, 0, 1, 2)[None].float())
        assert pixels is not None
        return pixels.finished()[0].permute(1, 2, 3, 0).round().clamp(0, 255).to(torch.uint8).numpy()

    def _blends(self, like: Latents) -> Any:
        """A Blend for each part."""
        return each(lambda part: Blend(self.tiling, part), like)

    def _tile(self, plan: Plan) -> Plan:
        return plan.model_copy(update={"width": self.tiling.tile_width, "height": self.tiling.tile_height})

    def _cut(self, window: Window, left: int, top: int) -> Window:
        rows, columns = slice(top, top + self.tiling.tile_height), slice(left, left + self.tiling.tile_width)
        return Window(window.frames_FHWC[:, rows, columns], window.mask_FHW[:, rows, columns])


SPATIAL = 5
"""Number of dimensions of latents with rows and columns."""


def _of_tile(blends: Any, number: int, latents: Latents) -> Any:
    return each(lambda blend, part: part[blend.cuts[number]], blends, latents)


def _add(blends: Any, number: int, output: Latents) -> None:
    each(lambda blend, part: blend.add(number, part), blends, output)


def _finished(blends: Any) -> Any:
    return each(lambda blend: blend.finished(), blends)


class Blend:
    """The weighted mean of tiles on a canvas with the shape (..., H, W) and device of `like`, in float32; without
    spatial dimensions, the mean."""

    def __init__(self, tiling: Tiling, like: torch.Tensor) -> None:
        self.sum = torch.zeros(like.shape, dtype=torch.float32, device=like.device)
        if like.ndim < SPATIAL:
            self.cuts: list[Any] = [...] * len(tiling.places)
            self.weights = [torch.ones((), device=like.device)] * len(tiling.places)
            self.weight = torch.zeros((), device=like.device)
            return
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
        self.weight = torch.zeros(rows, columns, device=like.device)

    def add(self, number: int, part: torch.Tensor) -> None:
        self.sum = self.sum.to(part.device)
        weight = self.weights[number].to(part.device)
        self.weight = self.weight.to(part.device)
        self.sum[self.cuts[number]] += weight * part.float()
        self.weight[self.cuts[number]] += weight

    def finished(self) -> torch.Tensor:
        return self.sum / self.weight
