"""OnBase: a video model of two halves, what moves and an image model under it that the request names (`base`).

AnimateDiff's motion adapters are of this kind, and Video LDM's temporal layers (arXiv 2304.08818, section 4.2): one
training of motion animates every image model of the same shape. The image model is read when it is first asked for and
stays until another one is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ..core.card import Card
from ..core.family import Prepared
from ..core.plan import Plan
from . import bases
from .clip_model import ClipModel, Cond, PipelineParts
from .options import ClipOptions


class OnBase(ClipModel):
    """read: an image model's place to the parts of the video model on it."""

    def __init__(self, card: Card, read: Callable[[Path], PipelineParts], device: torch.device) -> None:
        super().__init__(card, device)
        self.read = read
        self.place: Path | None = None

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        """Those of the image model that the plan names."""
        place = bases.find(ClipOptions.of(plan).base).place
        return (place,) if place.is_file() else tuple(sorted(place.rglob("*.safetensors")))

    def stand_on(self, place: Path) -> None:
        """The image model at `place` is the one under this model from now on."""
        if place != self.place:
            self.take(self.read(place))
            self.place = place

    def notes(self, plan: Plan) -> tuple[str, ...]:
        self.stand_on(bases.find(ClipOptions.of(plan).base).place)
        return super().notes(plan)

    def encode(self, plan: Plan, prepared: Prepared) -> Cond:
        self.stand_on(bases.find(ClipOptions.of(plan).base).place)
        return super().encode(plan, prepared)
