"""AnimateDiffFamily: a motion adapter and an image model behind the waist (core/family.py).

The network is UNetMotionModel: the image model's UNet with motion modules between its layers. Styles are LoRAs of every
kind: MotionLoRAs, the domain adapter, styles of the image model.
"""

from __future__ import annotations

from typing import Any

import torch

from ...conditions import clip
from ...core.family import Predict, Prepared, Window
from ...core.plan import Plan, Span
from ...sd.clip_model import Cond
from ...sd.on_base import OnBase
from ...weights import adapters
from ...weights.device import precision
from . import context


class AnimateDiffFamily(OnBase):
    """A motion adapter, loaded, on the image model of the last request."""

    def prepare(self, plan: Plan, window: Window | None = None) -> Prepared:
        return clip.prepare(plan, window)

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
            with self.residency.using(model), precision(self.device, cond.low_precision):
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
