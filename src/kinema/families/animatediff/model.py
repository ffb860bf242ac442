"""AnimateDiffFamily: a motion adapter and an image model behind the waist (core/family.py).

The network is UNetMotionModel: the image model's UNet with motion modules between its layers. Styles are LoRAs of every
kind: MotionLoRAs, the domain adapter, styles of the image model. ControlNet and SparseCtrl stand beside it (guides.py).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...conditions import clip
from ...core.family import Predict, Prepared, Tried, Window
from ...core.plan import Plan, Span
from ...sd.clip_model import Cond
from ...sd.on_base import OnBase
from ...sd.text import Words
from ...weights import adapters
from ...weights.device import precision
from ...weights.residency import Residency
from . import context, guides
from .adapter_names import ADAPTER_NAMES
from .options import AnimateDiffOptions


@dataclass(frozen=True)
class Guided(Cond):
    """guide: a network beside the UNet, with what it looks at."""

    guide: guides.Guide | None = None


class AnimateDiffFamily(OnBase):
    """A motion adapter, loaded, on the image model of the last request."""

    adapter_names = ADAPTER_NAMES
    beside: tuple[str, Any] | None = None  # the last network that guided, and its name
    guiding: Residency  # where it is

    def prepare(self, plan: Plan, window: Window | None = None) -> Prepared:
        return clip.prepare(plan, window)

    def encode(self, plan: Plan, prepared: Prepared) -> Guided:
        found = super().encode(plan, prepared)
        options = AnimateDiffOptions.of(plan)
        pictures, name = guides.read(plan), options.controlnet
        if pictures is None or not name:
            return Guided(**vars(found))
        if self.beside is None or self.beside[0] != name:
            self.beside = (name, guides.load(name, self.dtype))
            self.guiding = Residency(self.device, [self.beside[1]])
        with self.residency.using(self.parts.vae) as vae, self.guiding.using(self.beside[1]) as network:
            made = guides.guide(network, pictures, vae, plan.frames, options.control_scale)
        return Guided(**vars(found), guide=made)

    def begin(
        self, plan: Plan, cond: Cond, scheduler: Any, noise_BCTHW: torch.Tensor
    ) -> tuple[torch.Tensor, int]:  # fmt: skip
        return super().begin(plan, cond, scheduler, _alike(plan, noise_BCTHW))

    def begin_again(self, plan: Plan, scheduler: Any, tried: Tried) -> tuple[torch.Tensor, int]:
        return super().begin_again(plan, scheduler, replace(tried, noise_BCTHW=_alike(plan, tried.noise_BCTHW)))

    def predict(self, cond: Guided, span: Span) -> Predict:
        model, guide = self.parts.unet, cond.guide
        adapters.use(model, cond.styles, names=self.adapter_names)

        @torch.inference_mode()
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            outputs = {}
            beside = nullcontext() if guide is None else self.guiding.using(guide.model)
            with self.residency.using(model), beside, precision(self.device, cond.low_precision):
                for branch in branches:

                    def of(part_BCTHW: torch.Tensor, frames: slice, words: Words = cond.text[branch]) -> torch.Tensor:
                        each = words.states.expand(part_BCTHW.shape[2], -1, -1)
                        more = {} if guide is None else guide.residuals(part_BCTHW, t, each, frames)
                        more |= words.beside(*(self.space * side for side in cond.grid))
                        return model(part_BCTHW, t, encoder_hidden_states=each, return_dict=False, **more)[0].float()

                    outputs[branch] = context.blend(
                        of, x_BCTHW.to(self.dtype), cond.options.context_length, cond.options.context_overlap
                    )
            return outputs

        return run


def _alike(plan: Plan, noise_BCTHW: torch.Tensor) -> torch.Tensor:
    """Noise that is alike from window to window, where there are several."""
    options = AnimateDiffOptions.of(plan)
    length, overlap = options.context_length, options.context_overlap
    return context.shuffled(noise_BCTHW, length, overlap, plan.seed) if noise_BCTHW.shape[2] > length else noise_BCTHW
