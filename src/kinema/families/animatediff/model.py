"""AnimateDiffFamily: a motion adapter on an image model, with the interface of core/family.py.

The network is UNetMotionModel: the image model's UNet with motion modules between its layers. Styles are LoRAs of any
kind: MotionLoRAs, the domain adapter, styles of the image model. guides.py adds ControlNet and SparseCtrl.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from ...conditions import clip
from ...core.family import Predict, Prepared, Window
from ...core.plan import Plan, Span
from ...sd.clip_model import Cond
from ...sd.on_base import OnBase
from ...weights import adapters
from ...weights.device import precision
from ...weights.residency import Residency
from . import guides
from .adapter_names import ADAPTER_NAMES
from .options import AnimateDiffOptions


@dataclass(frozen=True)
class GuidedPrepared(Prepared):
    """pictures: the input of the ControlNet or SparseCtrl."""

    pictures: guides.GuidePictures | None = None


@dataclass(frozen=True)
class Guided(Cond):
    """guide: the ControlNet or SparseCtrl with its input. start: the plan's first frame."""

    guide: guides.Guide | None = None
    start: int = 0


class AnimateDiffFamily(OnBase):
    """A loaded motion adapter on the image model of the last request."""

    adapter_names = ADAPTER_NAMES
    controlnet: tuple[str, Any] | None = None  # the name and network of the last ControlNet
    controlnet_residency: Residency

    def prepare(self, plan: Plan, window: Window | None = None) -> GuidedPrepared:
        return GuidedPrepared(**vars(clip.prepare(plan, window)), pictures=guides.read(plan))

    def encode(self, plan: Plan, prepared: Prepared) -> Guided:
        found = super().encode(plan, prepared)
        options = AnimateDiffOptions.of(plan)
        pictures = prepared.pictures if isinstance(prepared, GuidedPrepared) else None
        name = options.controlnet
        if pictures is None or not name:
            return Guided(**vars(found))
        if self.controlnet is None or self.controlnet[0] != name:
            self.controlnet = (name, guides.load(name, self.dtype))
            self.controlnet_residency = Residency(self.device, [self.controlnet[1]])
        with (
            self.residency.using(self.parts.vae) as vae,
            self.controlnet_residency.using(self.controlnet[1]) as network,
        ):
            guide = guides.guide(network, pictures, vae, plan.frames, options.control_scale)
        return Guided(**vars(found), guide=guide, start=plan.spans[0].start)

    def predict(self, cond: Guided, span: Span) -> Predict:
        model, guide = self.parts.unet, cond.guide
        frames = slice(span.start - cond.start, span.stop - cond.start)
        adapters.use(model, cond.styles, names=self.adapter_names)

        @torch.inference_mode()
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            x, outputs = x_BCTHW.to(self.dtype), {}
            controlnet = nullcontext() if guide is None else self.controlnet_residency.using(guide.model)
            with self.residency.using(model), controlnet, precision(self.device, cond.low_precision):
                for branch in branches:
                    text = cond.text[branch]
                    states = text.states.expand(x.shape[2], -1, -1)
                    more = {} if guide is None else guide.residuals(x, t, states, frames)
                    more |= text.added_conditions(*(self.space * side for side in cond.grid))
                    outputs[branch] = model(x, t, encoder_hidden_states=states, return_dict=False, **more)[0].float()
            return outputs

        return run
