"""OnBase: a video model of two parts, motion layers and an image model that the request names (`base`).

AnimateDiff's motion adapters and Video LDM's temporal layers (arXiv 2304.08818, section 4.2) are of this kind: one
training of motion animates every image model of the same shape. The image model is loaded on first use and stays loaded
until a request names another.
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
    """read: loads the video model's parts for the image model at a path."""

    def __init__(self, card: Card, read: Callable[[Path], PipelineParts], device: torch.device) -> None:
        super().__init__(card, device)
        self.read = read
        self.place: Path | None = None

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        """The weight files of the plan's image model."""
        place = bases.find(ClipOptions.of(plan).base).place
        return (place,) if place.is_file() else tuple(sorted(place.rglob("*.safetensors")))

    def use_base(self, place: Path) -> None:
        """Load the image model at `place`, unless it is loaded already."""
        if place != self.place:
            self.take(self.read(place))
            self.place = place

    def notes(self, plan: Plan) -> tuple[str, ...]:
        self.use_base(bases.find(ClipOptions.of(plan).base).place)
        return super().notes(plan)

    def encode(self, plan: Plan, prepared: Prepared) -> Cond:
        self.use_base(bases.find(ClipOptions.of(plan).base).place)
        return super().encode(plan, prepared)
