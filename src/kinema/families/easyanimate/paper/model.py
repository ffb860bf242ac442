"""PaperFamily: a loaded model of the paper's design (arXiv 2405.18991) with the interface of core/family.py.

A clip of one frame is a picture. The first frame can be given: its latents and a mark enter the transformer beside the
noise. Latents are the autoencoder's times its scaling factor, (1, C, T, h, w).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....core.card import Card
from ....core.chunk import Chunk
from ....core.family import Predict, Prepared, Window
from ....core.plan import Plan, Span, encoded
from ....core.prompt import cut_notes
from ....diffusion import flow, scheduling
from ....diffusion.guidance import GuidanceStep, classifier_free
from ....diffusion.pixels import as_chunks, from_unit
from ....weights.device import precision
from ....weights.residency import Residency
from ..options import EasyAnimateOptions
from . import prepare

PROMPTS_KEPT = 32


@dataclass(frozen=True)
class PaperCond:
    """The conditions of a request. text: states of each branch (1, L, D). first_BCThw: latents of the first frame, and
    a channel of ones; None without a picture. grid: the latents' rows and columns. motion: use the motion modules?"""

    text: dict[str, torch.Tensor]
    first_BCThw: torch.Tensor | None
    grid: tuple[int, int]
    motion: bool
    low_precision: bool


@dataclass
class PaperParts:
    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler: Any


class PaperFamily:
    """A loaded model. Not thread-safe: one request at a time."""

    def __init__(self, card: Card, parts: PaperParts, device: torch.device) -> None:
        self.card, self.parts, self.device = card, parts, device
        self.residency = Residency(device, [parts.text_encoder, parts.transformer, parts.vae])
        self.dtype = parts.transformer.dtype
        self.space = int(parts.vae.space)
        self.scale = float(parts.vae.config.scaling_factor)
        self.limit = card.network.text_length
        self.prompts: OrderedDict[str, torch.Tensor] = OrderedDict()

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        return ()

    def notes(self, plan: Plan) -> tuple[str, ...]:
        cut = [cut_notes(name, prompt, self.parts.tokenizer, self.limit) for name, prompt in encoded(plan).items()]
        return tuple(note for notes in cut for note in notes)

    def prepare(self, plan: Plan, window: Window | None = None) -> Prepared:
        return prepare.prepare(plan)

    @torch.inference_mode()
    def encode(self, plan: Plan, prepared: Prepared) -> PaperCond:
        prompts = dict(zip(("cond", "uncond"), encoded(plan).values()))
        text = {branch: self.text_states(prompt) for branch, prompt in prompts.items()}
        first = None
        if prepared.first_BCHW is not None:
            with self.residency.using(self.parts.vae) as vae, precision(self.device, plan.low_precision):
                pixels = prepared.first_BCHW[:, :, None].to(self.device, self.dtype)
                latents = vae.encode(pixels).latent_dist.mean * self.scale
            first = torch.cat([latents, torch.ones_like(latents[:, :1])], 1).to(self.dtype)
        grid = (plan.height // self.space, plan.width // self.space)
        return PaperCond(text, first, grid, EasyAnimateOptions.of(plan).motion_module, plan.low_precision)

    def text_states(self, prompt: str) -> torch.Tensor:
        """The text states (1, L, D) of a prompt, padding included. Cached for the last prompts."""
        if prompt not in self.prompts:
            ids = self.parts.tokenizer(
                [prompt], padding="max_length", max_length=self.limit, truncation=True, return_tensors="pt"
            ).input_ids
            with self.residency.using(self.parts.text_encoder) as encoder:
                self.prompts[prompt] = encoder(ids.to(self.device))[0].to(self.device, self.dtype)
            while len(self.prompts) > PROMPTS_KEPT:
                self.prompts.popitem(last=False)
        self.prompts.move_to_end(prompt)
        return self.prompts[prompt]

    # -- in the loop -----------------------------------------------------------------------------------------------

    def latent_shape(self, cond: PaperCond, span: Span) -> tuple[int, ...]:
        return (1, self.parts.vae.config.latent_channels, _latents(span.num_frames), *cond.grid)

    def scheduler(self, plan: Plan) -> Any:
        scheduler = type(self.parts.scheduler).from_config(self.parts.scheduler.config)
        scheduler.set_timesteps(plan.steps, device=self.device)
        scheduler.set_begin_index(0)
        return scheduler

    def begin(
        self, plan: Plan, cond: PaperCond, scheduler: Any, noise_BCTHW: torch.Tensor
    ) -> tuple[torch.Tensor, int]:  # fmt: skip
        return scheduling.begin(scheduler, noise_BCTHW), 0

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> tuple[GuidanceStep, ...]:
        return classifier_free(len(scheduler.timesteps), plan.guidance, plan.guidance_interval)

    def predict(self, cond: PaperCond, span: Span) -> Predict:
        model = self.parts.transformer

        @torch.inference_mode()
        def run(x_BCThw: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            count = len(branches)
            image = None
            if cond.first_BCThw is not None and span.start == 0:
                image = torch.zeros(
                    (1, cond.first_BCThw.shape[1], *x_BCThw.shape[2:]), dtype=self.dtype, device=self.device
                )
                image[:, :, :1] = cond.first_BCThw
                image = image.expand(count, -1, -1, -1, -1)
            with (
                self.residency.using(model),
                precision(self.device, cond.low_precision),
                model.with_motion(cond.motion),
            ):
                found = model(
                    x_BCThw.to(self.dtype).expand(count, -1, -1, -1, -1),
                    torch.cat([cond.text[branch] for branch in branches]), t.expand(count), image,
                ).float()  # fmt: skip
            return {branch: found[index : index + 1] for index, branch in enumerate(branches)}

        return run

    # -- after the loop --------------------------------------------------------------------------------------------

    def decode(self, latents_BCTHW: torch.Tensor, plan: Plan, span: Span) -> Iterator[Chunk]:
        with self.residency.using(self.parts.vae) as vae:
            z = (latents_BCTHW.to(self.device, torch.float32) / self.scale).to(self.dtype)
            frames = (pixels_BCFHW[0].movedim(0, 1) for pixels_BCFHW in _without_grad(vae.decode_slices(z)))
            yield from as_chunks(frames, span.start, plan.fps, partial(precision, self.device, plan.low_precision))

    @torch.inference_mode()
    def preview(
        self, x_BCTHW: torch.Tensor, output_BCTHW: torch.Tensor, sigma: float, plan: Plan, span: Span
    ) -> np.ndarray:
        """Preview the whole span of a short clip, of a longer one its middle latent frame as a picture."""
        clean = flow.denoised(x_BCTHW, output_BCTHW, sigma) / self.scale
        if clean.shape[2] > _latents(self.card.frames.trained):
            clean = clean[:, :, clean.shape[2] // 2][:, :, None]
        with self.residency.using(self.parts.vae) as vae, precision(self.device, plan.low_precision):
            pixels = torch.cat(list(vae.decode_slices(clean.to(self.device, self.dtype))), 2)
        return from_unit(pixels[0].movedim(0, 1))


def _latents(num_frames: int) -> int:
    """Latent frames of 8n + 1 frames: one, then two for each slice."""
    return (num_frames - 1) // 4 + 1


def _without_grad(slices: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    while True:
        with torch.no_grad():
            found = next(slices, None)
        if found is None:
            return
        yield found
