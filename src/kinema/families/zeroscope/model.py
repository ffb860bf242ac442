"""ZeroscopeFamily: ModelScope's network with the interface of core/family.py.

UNet3DConditionModel is a Stable Diffusion UNet with a temporal convolution and a temporal transformer after every block
(arXiv 2308.06571; the design of Video LDM, arXiv 2304.08818).
"""

from __future__ import annotations

from typing import Any

import torch

from ...conditions import clip
from ...core.family import Predict, Prepared, Window
from ...core.plan import Plan, Span
from ...sd.clip_model import ClipModel, Cond
from ...sd.on_base import OnBase
from ...weights import adapters
from ...weights.device import precision


class ModelScope:
    """Calls UNet3DConditionModel; a mixin for both kinds of loaded models."""

    def prepare(self: Any, plan: Plan, window: Window | None = None) -> Prepared:
        return clip.prepare(plan, window)

    def predict(self: Any, cond: Cond, span: Span) -> Predict:
        model = self.parts.unet
        adapters.use(model, cond.styles, None)

        @torch.inference_mode()
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            if cond.options.low_memory:
                model.enable_forward_chunking(1, dim=1)
            else:
                model.disable_forward_chunking()
            x, outputs = x_BCTHW.to(self.dtype), {}
            with self.residency.using(model), precision(self.device, cond.low_precision):
                for branch in branches:
                    found = model(x, t, encoder_hidden_states=cond.text[branch].states, return_dict=False)[0]
                    outputs[branch] = found.float()
            return outputs

        return run


class ZeroscopeFamily(ModelScope, ClipModel):
    """A loaded ModelScope or Zeroscope model."""


class TemporalLayersFamily(ModelScope, OnBase):
    """Loaded temporal layers on the image model of the last request."""
