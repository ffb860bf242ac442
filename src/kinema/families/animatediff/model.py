"""AnimateDiffFamily: a motion adapter and an image model behind the waist (core/family.py).

The network is UNetMotionModel: the image model's UNet with motion modules between its layers. The image model is read
when it is first asked for, and stays until another one is. Styles are LoRAs of every kind: MotionLoRAs, the domain
adapter, styles of the image model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ...conditions import clip
from ...core.card import Card
from ...core.family import Predict, Prepared, Window
from ...core.plan import Plan, Span
from ...sd.clip_model import ClipModel, Cond, Parts
from ...weights import adapters
from . import bases, context


class AnimateDiffFamily(ClipModel):
    """read: an image model's folder to parts with this adapter's motion modules."""

    def __init__(self, card: Card, read: Callable[[Path], Parts], device: torch.device) -> None:
        super().__init__(card, device)
        self.read = read
        self.folder: Path | None = None

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        """Those of the image model that the plan names."""
        return tuple(sorted(bases.find(str(plan.options["base"])).folder.rglob("*.safetensors")))

    def prepare(self, plan: Plan, window: Window | None = None) -> Prepared:
        return clip.prepare(plan)

    def encode(self, plan: Plan, prepared: Prepared) -> Cond:
        wanted = bases.find(str(plan.options["base"])).folder
        if wanted != self.folder:
            self.take(self.read(wanted))
            self.folder = wanted
        return super().encode(plan, prepared)

    def begin(
        self, plan: Plan, cond: Cond, scheduler: Any, noise_BCTHW: torch.Tensor
    ) -> tuple[torch.Tensor, int]:  # fmt: skip
        length, overlap = _windows(cond)
        if noise_BCTHW.shape[2] > length:
            noise_BCTHW = context.shuffled(noise_BCTHW, length, overlap, plan.seed)
        return super().begin(plan, cond, scheduler, noise_BCTHW)

    def predict(self, cond: Cond, span: Span) -> Predict:
        model = self.parts.unet
        adapters.use(model, cond.styles, None)

        @torch.inference_mode()
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            outputs = {}
            with self.residency.using(model), self._precision(cond.low_precision):
                for branch in branches:

                    def of(part_BCTHW: torch.Tensor, states: torch.Tensor = cond.text[branch]) -> torch.Tensor:
                        each = states.expand(part_BCTHW.shape[2], -1, -1)
                        return model(part_BCTHW, t, encoder_hidden_states=each, return_dict=False)[0].float()

                    outputs[branch] = context.blend(of, x_BCTHW.to(self.dtype), *_windows(cond))
            return outputs

        return run


def _windows(cond: Cond) -> tuple[int, int]:
    """(frames of a window, frames that two share)."""
    return int(cond.options["context_length"]), int(cond.options["context_overlap"])
