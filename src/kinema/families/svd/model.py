"""SvdFamily: a loaded Stable Video Diffusion model with the interface of core/family.py.

The network is UNetSpatioTemporalConditionModel. Its inputs are the noisy latents of all frames concatenated with the
image's latents, CLIP's image embedding, and three numbers: fps - 1, motion bucket, noise on the image.
Latents are (1, 4, T, H, W) here and (B, T, 4, H, W) in the network; T is the number of frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.card import Card
from ...core.chunk import Chunk
from ...core.family import Predict, Window
from ...core.plan import Plan, Span
from ...diffusion import scheduling
from ...diffusion.guidance import GuidanceStep, classifier_free
from ...diffusion.noise import noise
from ...diffusion.pixels import as_chunks, from_unit
from ...diffusion.prediction import LatentScale, SigmaModel, V, denoised
from ...diffusion.samplers import chosen
from ...diffusion.sigma_schedules import edm_levels
from ...sd import frames
from ...weights import adapters
from ...weights.device import precision
from ...weights.residency import Residency
from . import prepare as prepared_pixels
from .options import SvdOptions


@dataclass
class SvdParts:
    """The networks of a checkpoint, as diffusers and transformers classes. clip_mean, clip_std: normalisation of the
    image encoder's pixels."""

    image_encoder: Any
    unet: Any
    vae: Any
    scheduler: Any
    clip_mean: list[float]
    clip_std: list[float]
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class SvdCond:
    """The conditions of a request. By branch: CLIP's embedding (1, 1, D) and the image's latents (1, 4, h, w), zeros
    for "uncond". numbers_B3: fps - 1, motion bucket, noise."""

    embedding: dict[str, torch.Tensor]
    picture: dict[str, torch.Tensor]
    numbers_B3: torch.Tensor
    styles: tuple[tuple[str, float], ...]
    low_precision: bool


class SvdFamily:
    """A loaded model. Not thread-safe: one request at a time."""

    def __init__(self, card: Card, parts: SvdParts, device: torch.device) -> None:
        self.card, self.parts, self.device = card, parts, device
        self.residency = Residency(device, [parts.image_encoder, parts.unet, parts.vae])
        self.dtype = parts.unet.dtype
        self.space = 2 ** (len(parts.vae.config.block_out_channels) - 1)

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        return self.parts.files

    # -- before the loop -------------------------------------------------------------------------------------------

    def notes(self, plan: Plan) -> tuple[str, ...]:
        return ()  # no prompt

    def prepare(self, plan: Plan, window: Window | None = None) -> prepared_pixels.SvdPrepared:
        return prepared_pixels.prepare(plan)

    @torch.inference_mode()
    def encode(self, plan: Plan, prepared: prepared_pixels.SvdPrepared) -> SvdCond:
        adapters.use(self.parts.unet, prepared.styles, None)
        assert prepared.first_BCHW is not None and prepared.original_BCHW is not None
        pixels = prepared_pixels.for_clip(prepared.original_BCHW, self.parts.clip_mean, self.parts.clip_std)
        with self.residency.using(self.parts.image_encoder) as encoder:
            embedding = encoder(pixels.to(self.device, encoder.dtype)).image_embeds[:, None]
        options = SvdOptions.of(plan)
        strength = options.augmentation
        picture = prepared.first_BCHW + strength * noise(plan.seed, "augment", prepared.first_BCHW.shape)
        with self.residency.using(self.parts.vae) as vae:
            latents = vae.encode(picture.to(self.device, vae.dtype)).latent_dist.mode()
        embedding, latents = embedding.to(self.device, self.dtype), latents.to(self.device, self.dtype)
        numbers = torch.tensor([[plan.fps - 1, float(options.motion), strength]])
        return SvdCond(
            {"cond": embedding, "uncond": torch.zeros_like(embedding)},
            {"cond": latents, "uncond": torch.zeros_like(latents)},
            numbers.to(self.device, self.dtype),
            prepared.styles,
            plan.low_precision,
        )

    # -- in the loop -----------------------------------------------------------------------------------------------

    def latent_shape(self, cond: SvdCond, span: Span) -> tuple[int, ...]:
        channels, rows, columns = cond.picture["cond"].shape[1:]
        return (1, channels, span.num_frames, rows, columns)

    def scheduler(self, plan: Plan) -> Any:
        scheduler = type(self.parts.scheduler).from_config(self.parts.scheduler.config)
        scheduler.set_timesteps(plan.steps, device=self.device)
        scheduler.set_begin_index(0)
        return chosen(scheduler, SvdOptions.of(plan), plan, self.sigma_model(plan))

    def sigma_model(self, plan: Plan) -> SigmaModel:
        config = self.parts.scheduler.config
        levels = edm_levels(config.sigma_min, config.sigma_max)
        return SigmaModel(V, levels, levels.timestep, frames_first=True)

    def latent_scale(self) -> LatentScale:
        return LatentScale(0.0, 1 / self.parts.vae.config.scaling_factor)

    def part(self, cond: SvdCond, places: slice) -> SvdCond:
        return cond  # the same for all frames

    def num_frames(self, latent_frames: int) -> int:
        return latent_frames

    def encode_pixels(self, x_BCFHW: torch.Tensor) -> torch.Tensor:
        with self.residency.using(self.parts.vae) as vae:
            return frames.encode(vae, x_BCFHW)

    def begin(self, plan: Plan, cond: SvdCond, scheduler: Any, noise_BCTHW: torch.Tensor) -> tuple[torch.Tensor, int]:
        return scheduling.begin(scheduler, noise_BCTHW), 0

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> tuple[GuidanceStep, ...]:
        scales = self.scales(plan, span)
        return classifier_free(len(scheduler.timesteps), plan.guidance, plan.guidance_interval, scales)

    def scales(self, plan: Plan, span: Span) -> torch.Tensor:
        """The guidance scale of each frame, (1, 1, T, 1, 1): from `first_guidance` up to the plan's, or up and down
        again ("triangle")."""
        options = SvdOptions.of(plan)
        low, high, count = options.first_guidance, plan.guidance, span.num_frames
        along = torch.linspace(0, 1, count)
        if options.guidance_shape == "triangle":
            along = 1 - (2 * along - 1).abs()
        return (low + (high - low) * along).view(1, 1, count, 1, 1).to(self.device)

    def predict(self, cond: SvdCond, span: Span) -> Predict:
        model = self.parts.unet
        adapters.use(model, cond.styles, None)

        @torch.inference_mode()
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            x_BTCHW = x_BCTHW.transpose(1, 2).to(self.dtype)
            outputs = {}
            with self.residency.using(model), precision(self.device, cond.low_precision):
                for branch in branches:
                    image = cond.picture[branch][:, None].expand(-1, x_BTCHW.shape[1], -1, -1, -1)
                    x = torch.cat([x_BTCHW, image], dim=2)
                    found = model(x, t, cond.embedding[branch], added_time_ids=cond.numbers_B3, return_dict=False)[0]
                    outputs[branch] = found.float().transpose(1, 2)
            return outputs

        return run

    # -- after the loop --------------------------------------------------------------------------------------------

    def decode(self, latents_BCTHW: torch.Tensor, plan: Plan, span: Span) -> Iterator[Chunk]:
        """Decode `decode_chunk` frames at a time with the temporal decoder."""
        slices = self.decode_pixels(latents_BCTHW, plan)
        yield from as_chunks(slices, span.start, plan.fps, partial(precision, self.device, plan.low_precision))

    def decode_pixels(self, latents_BCTHW: torch.Tensor, plan: Plan) -> Iterator[torch.Tensor]:
        for part_BCTHW in latents_BCTHW.split(SvdOptions.of(plan).decode_chunk, 2):
            with self.residency.using(self.parts.vae) as vae:
                yield self._pixels(vae, part_BCTHW)

    @torch.inference_mode()
    def preview(
        self, x_BCTHW: torch.Tensor, output_BCTHW: torch.Tensor, sigma: float, plan: Plan, span: Span
    ) -> np.ndarray:
        """Preview the middle frame."""
        clean = denoised(V, output_BCTHW, x_BCTHW, sigma)
        middle = clean.shape[2] // 2
        with self.residency.using(self.parts.vae) as vae, precision(self.device, plan.low_precision):
            return from_unit(self._pixels(vae, clean[:, :, middle : middle + 1]))

    @torch.inference_mode()
    def _pixels(self, vae: Any, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        z_NCHW = latents_BCTHW[0].transpose(0, 1).to(self.device, vae.dtype) / vae.config.scaling_factor
        found: torch.Tensor = vae.decode(z_NCHW, num_frames=len(z_NCHW)).sample
        return found
