"""AnimateDiffFamily: a motion adapter and an image model behind the waist (core/family.py).

The network is UNetMotionModel: the image model's UNet with motion modules between its layers. The image model is read
when it is first asked for, and stays until another one is. Latents (1, 4, F, h, w), a latent frame for each frame.
Styles are LoRAs of every kind: MotionLoRAs, the domain adapter, styles of the image model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...conditions import image, inputs
from ...core.card import Card
from ...core.chunk import Chunk
from ...core.family import Predict, Prepared, Window
from ...core.plan import Plan, Span
from ...diffusion import scheduling
from ...sd import discrete, frames
from ...sd.text import text_states
from ...weights import adapters
from ...weights.device import good_at_bfloat16
from ...weights.residency import Residency
from . import bases, context


@dataclass
class AnimateDiffParts:
    """An image model with motion modules, as diffusers and transformers classes."""

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler: Any


@dataclass(frozen=True)
class AnimateDiffCond:
    """text: states (1, L, D) by branch. source_BCTHW: latents of a clip to begin with. context: (length, overlap)."""

    text: dict[str, torch.Tensor]
    source_BCTHW: torch.Tensor | None
    grid: tuple[int, int]
    styles: tuple[tuple[str, float], ...]
    low_precision: bool
    context: tuple[int, int]


class AnimateDiffFamily:
    """read: an image model's folder to parts with this adapter's motion modules. Not thread-safe: one request at a
    time."""

    def __init__(self, card: Card, read: Callable[[Path], AnimateDiffParts], device: torch.device) -> None:
        self.card, self.read, self.device = card, read, device
        self.folder: Path | None = None

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        """Those of the image model that the plan names."""
        return tuple(sorted(bases.find(str(plan.options["base"])).folder.rglob("*.safetensors")))

    def _stand_on(self, base: str) -> None:
        """Read the image model, unless it is the one that is here."""
        found = bases.find(base)
        if found.folder == self.folder:
            return
        self.parts = self.read(found.folder)
        self.folder, self.dtype = found.folder, self.parts.unet.dtype
        self.space = frames.space_factor(self.parts.vae)
        self.residency = Residency(self.device, [self.parts.text_encoder, self.parts.unet, self.parts.vae])

    # -- before the loop -------------------------------------------------------------------------------------------

    def prepare(self, plan: Plan, window: Window | None = None) -> Prepared:
        source: Any = next((each for each in plan.conditions if each.kind == "source"), None)
        styles = tuple((each.adapter, each.weight) for each in plan.conditions if each.kind == "style")
        if source is None:
            return Prepared(styles=styles)
        given_FHWC, _ = inputs.clip(source.video, stop=plan.frames)
        fitted = np.stack([image.cover(frame, plan.height, plan.width) for frame in given_FHWC])
        return Prepared(source_BCFHW=image.to_unit(fitted).movedim(0, 1)[None], styles=styles)

    @torch.inference_mode()
    def encode(self, plan: Plan, prepared: Prepared) -> AnimateDiffCond:
        self._stand_on(str(plan.options["base"]))
        adapters.use(self.parts.unet, prepared.styles, None)
        prompts = {"cond": plan.prompt}
        if plan.guidance > 1.0 and plan.guidance_interval[1] > plan.guidance_interval[0]:
            prompts["uncond"] = plan.negative_prompt
        skip = int(str(plan.options["clip_skip"]))
        with self.residency.using(self.parts.text_encoder) as encoder:
            states = {
                branch: text_states(prompt, self.parts.tokenizer, encoder, self.device, skip).to(self.dtype)
                for branch, prompt in prompts.items()
            }
        source = None
        if prepared.source_BCFHW is not None:
            with self.residency.using(self.parts.vae) as vae, self._precision(plan.low_precision):
                source = frames.encode(vae, prepared.source_BCFHW)
        grid = (plan.height // self.space, plan.width // self.space)
        window = (int(str(plan.options["context_length"])), int(str(plan.options["context_overlap"])))
        return AnimateDiffCond(states, source, grid, prepared.styles, plan.low_precision, window)

    # -- in the loop -----------------------------------------------------------------------------------------------

    def latent_shape(self, cond: AnimateDiffCond, span: Span) -> tuple[int, ...]:
        return (1, self.parts.unet.config.in_channels, span.num_frames, *cond.grid)

    def scheduler(self, plan: Plan) -> Any:
        return discrete.scheduler_of(self.parts.scheduler, plan.steps, self.device)

    def begin(
        self, plan: Plan, cond: AnimateDiffCond, scheduler: Any, noise_BCTHW: torch.Tensor
    ) -> tuple[torch.Tensor, int]:
        length, overlap = cond.context
        if noise_BCTHW.shape[2] > length:
            noise_BCTHW = context.shuffled(noise_BCTHW, length, overlap, plan.seed)
        if cond.source_BCTHW is None:
            return scheduling.begin(scheduler, noise_BCTHW), 0
        strength = float(str(plan.options["strength"]))
        clean = cond.source_BCTHW.to(self.device)
        return discrete.begin_with(scheduler, clean, noise_BCTHW.to(self.device), plan.steps, strength)

    def guidance(self, plan: Plan, span: Span) -> float:
        return plan.guidance

    def predict(self, cond: AnimateDiffCond, span: Span) -> Predict:
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

                    outputs[branch] = context.blend(of, x_BCTHW.to(self.dtype), *cond.context)
            return outputs

        return run

    # -- after the loop --------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def decode(self, latents_BCTHW: torch.Tensor, plan: Plan, span: Span) -> Iterator[Chunk]:
        start = span.start
        with self.residency.using(self.parts.vae) as vae:
            slices = frames.decode(vae, latents_BCTHW, int(str(plan.options["decode_chunk"])))
            while True:
                with self._precision(plan.low_precision):
                    pixels_NCHW = next(slices, None)
                if pixels_NCHW is None:
                    return
                made = image.from_unit(pixels_NCHW)
                yield Chunk(made, start, plan.fps)
                start += len(made)

    @torch.inference_mode()
    def preview(
        self, x_BCTHW: torch.Tensor, output_BCTHW: torch.Tensor, sigma: float, plan: Plan, span: Span
    ) -> np.ndarray:
        """The middle frame."""
        clean = discrete.denoised(x_BCTHW, output_BCTHW, sigma, self.parts.scheduler)
        middle = clean.shape[2] // 2
        with self.residency.using(self.parts.vae) as vae, self._precision(plan.low_precision):
            return image.from_unit(next(frames.decode(vae, clean[:, :, middle : middle + 1])))

    def _precision(self, low: bool) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=low and good_at_bfloat16(self.device))
