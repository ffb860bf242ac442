"""CogVideoXFamily: a loaded CogVideoX model with the interface of core/family.py. One class for 1.0 and 1.5, text and
image.

The network is CogVideoXTransformer3DModel, whose blocks attend to text and video tokens together. Latents are
(1, C, T, h, w) here and (B, T, C, h, w) in the network. A token of 1.5 covers two latent frames; an odd number of them
is padded by one in front, which is dropped after sampling, as in diffusers' pipelines.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.card import Card
from ...core.chunk import Chunk
from ...core.family import Predict, Window
from ...core.plan import Plan, Span, encoded
from ...core.prompt import cut_notes
from ...diffusion import scheduling
from ...diffusion.guidance import GuidanceStep, classifier_free
from ...diffusion.noise import noise
from ...diffusion.pixels import as_chunks, from_unit
from ...sd import discrete
from ...weights import adapters
from ...weights.device import precision
from ...weights.residency import Residency
from . import autoencoder, convolutions, guidance, positions, prepare, schedulers
from .motion import MotionGuide
from .options import CogVideoXOptions

BATCH_TOKENS = 16_384
"""Branches run as one batch up to this total number of tokens; above, one at a time."""
PROMPTS_KEPT = 32
OFFSET = 2.0
"""The constant that the image model of 1.5 receives as its `ofs` input."""


@dataclass(frozen=True)
class CogVideoXCond:
    """The conditions of a request. text: states of each branch (1, L, D). image_BTCHW: latents of the first frame,
    zeros after it, concatenated to the noise. source_BCTHW: scaled latents of a source clip. motion: features of the
    motion guide. grid: the latents' rows and columns. num_frames: of the clip;
    0 if no span is a window of it."""

    text: dict[str, torch.Tensor]
    image_BTCHW: torch.Tensor | None
    source_BCTHW: torch.Tensor | None
    motion: Any
    grid: tuple[int, int]
    styles: tuple[tuple[str, float], ...]
    low_precision: bool
    num_frames: int = 0


@dataclass
class CogVideoXParts:
    """The networks of a checkpoint, as diffusers and transformers classes. motion: networks that guide the blocks."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler: Any
    motion: MotionGuide | None = None


class CogVideoXFamily:
    """A loaded model. Not thread-safe: one request at a time."""

    def __init__(self, card: Card, parts: CogVideoXParts, device: torch.device) -> None:
        self.card, self.parts, self.device = card, parts, device
        self.guides = list(parts.motion.modules) if parts.motion is not None else []
        self.residency = Residency(
            device, [parts.text_encoder, parts.transformer, parts.vae, *self.guides],
            blocks={
                parts.transformer: parts.transformer.transformer_blocks,
                parts.text_encoder: parts.text_encoder.encoder.block,
            },
        )  # fmt: skip
        self.config = parts.transformer.config
        self.dtype = parts.transformer.dtype
        self.space = autoencoder.space_factor(parts.vae)
        self.prompts: OrderedDict[str, torch.Tensor] = OrderedDict()
        convolutions.prepare(parts.vae, device)

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        return ()

    # -- before the loop -------------------------------------------------------------------------------------------

    def notes(self, plan: Plan) -> tuple[str, ...]:
        tokenizer, limit = self.parts.tokenizer, self.config.max_text_seq_length
        cut = [cut_notes(name, prompt, tokenizer, limit) for name, prompt in encoded(plan).items()]
        return tuple(note for notes in cut for note in notes)

    def prepare(self, plan: Plan, window: Window | None = None) -> prepare.CogVideoXPrepared:
        return prepare.prepare(plan, window)

    @torch.inference_mode()
    def encode(self, plan: Plan, prepared: prepare.CogVideoXPrepared) -> CogVideoXCond:
        adapters.use(self.parts.transformer, prepared.styles)
        prompts = dict(zip(("cond", "uncond"), encoded(plan).values()))
        text = {branch: self.text_states(prompt) for branch, prompt in prompts.items()}
        source = picture = motion = None
        if prepared.source_BCFHW is not None and CogVideoXOptions.of(plan).strength < 1.0:
            source = self.padded(self.encode_pixels(prepared.source_BCFHW, plan, "source") * self.scale)
        if prepared.first_BCHW is not None:
            picture = self._image(self.encode_pixels(prepared.first_BCHW[:, :, None], plan, "image"), plan)
        if self.parts.motion is not None and prepared.flow_BCFHW is not None:
            latents = self.encode_pixels(prepared.flow_BCFHW, plan, "flow") * self.scale
            with self._guides():
                motion = self.parts.motion.features(self.padded(latents).to(self.device, self.dtype))
        grid = (plan.height // self.space, plan.width // self.space)
        return CogVideoXCond(
            text, picture, source, motion, grid, prepared.styles, plan.low_precision, num_frames=plan.frames
        )

    @contextmanager
    def _guides(self) -> Iterator[None]:
        """Hold the networks of the motion guide on the device."""
        with ExitStack() as stack:
            for module in self.guides:
                stack.enter_context(self.residency.using(module))
            yield

    @property
    def scale(self) -> float:
        """The factor from the autoencoder's latents to the transformer's."""
        return float(self.parts.vae.config.scaling_factor)

    def text_states(self, prompt: str) -> torch.Tensor:
        """The text states (1, L, D) of a prompt, padding included: the model was trained without a mask. Cached for the
        last prompts."""
        if prompt not in self.prompts:
            ids = self.parts.tokenizer(
                [prompt], padding="max_length", max_length=self.config.max_text_seq_length, truncation=True,
                add_special_tokens=True, return_tensors="pt",
            ).input_ids  # fmt: skip
            with self.residency.using(self.parts.text_encoder) as encoder:
                self.prompts[prompt] = encoder(ids.to(self.device))[0].to(self.device, self.dtype)
            while len(self.prompts) > PROMPTS_KEPT:
                self.prompts.popitem(last=False)
        self.prompts.move_to_end(prompt)
        return self.prompts[prompt]

    def encode_pixels(self, x_BCFHW: torch.Tensor, plan: Plan, stream: str) -> torch.Tensor:
        """Encode pixels to latents, not scaled: a sample of the posterior, with noise from the named stream."""
        vae = self.parts.vae
        rows, columns = (side // self.space for side in x_BCFHW.shape[-2:])
        shape = (1, vae.config.latent_channels, autoencoder.latent_frames(vae, x_BCFHW.shape[2]), rows, columns)
        drawn = noise(plan.seed, stream, shape)
        with self.residency.using(vae), precision(self.device, plan.low_precision):
            return autoencoder.encode(vae, x_BCFHW, drawn, self._in_tiles(plan))

    def _in_tiles(self, plan: Plan) -> bool:
        if not autoencoder.tiles_fit(self.parts.vae):
            return False
        tiles = CogVideoXOptions.of(plan).decode_tiles
        return tiles == "always" or (tiles == "auto" and autoencoder.is_large(self.parts.vae, plan.height, plan.width))

    def _image(self, latents_BCTHW: torch.Tensor, plan: Plan) -> torch.Tensor:
        """The transformer's image input (1, T, C, h, w) from the latents of the first frame, zeros after it. The models
        of 1.5 were trained on latents divided by the scaling factor (`invert_scale_latents`)."""
        scaled = (
            latents_BCTHW / self.scale if self.parts.vae.config.invert_scale_latents else latents_BCTHW * self.scale
        )
        num_frames = self.num_latents(plan.spans[0])
        whole = torch.zeros(*scaled.shape[:2], num_frames, *scaled.shape[3:])
        whole[:, :, :1] = scaled
        return whole.transpose(1, 2).to(self.device, self.dtype)

    # -- in the loop -----------------------------------------------------------------------------------------------

    def num_latents(self, span: Span) -> int:
        """Latent frames of a span, with the padding."""
        frames = autoencoder.latent_frames(self.parts.vae, span.num_frames)
        return frames + -frames % (self.config.patch_size_t or 1)

    def padded(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        """The latents of a clip with their first frame repeated in front, if the transformer needs padding."""
        extra = -latents_BCTHW.shape[2] % (self.config.patch_size_t or 1)
        return torch.cat([latents_BCTHW[:, :, :1]] * extra + [latents_BCTHW], dim=2)

    def latent_shape(self, cond: CogVideoXCond, span: Span) -> tuple[int, ...]:
        return (1, self.config.out_channels, self.num_latents(span), *cond.grid)

    def scheduler(self, plan: Plan) -> Any:
        """A new scheduler of the checkpoint's class, or of the option `solver`."""
        solver = CogVideoXOptions.of(plan).solver
        return schedulers.scheduler_of(self.parts.scheduler, solver, plan.steps, plan.seed, self.device)

    def begin(
        self, plan: Plan, cond: CogVideoXCond, scheduler: Any, noise_BCTHW: torch.Tensor
    ) -> tuple[torch.Tensor, int]:  # fmt: skip
        if cond.source_BCTHW is None:
            return scheduling.begin(scheduler, noise_BCTHW), 0
        clean, strength = cond.source_BCTHW.to(self.device), CogVideoXOptions.of(plan).strength
        return scheduling.begin_with(scheduler, clean, noise_BCTHW.to(self.device), plan.steps, strength)

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> tuple[GuidanceStep, ...]:
        if not CogVideoXOptions.of(plan).dynamic_guidance:
            return classifier_free(len(scheduler.timesteps), plan.guidance, plan.guidance_interval)
        timesteps = [float(t) for t in scheduler.timesteps]
        return guidance.dynamic(plan.guidance, plan.guidance_interval, timesteps, scheduler.begin_index)

    def predict(self, cond: CogVideoXCond, span: Span) -> Predict:
        model = self.parts.transformer
        adapters.use(model, cond.styles)  # another request may have been encoded since
        offset = None if self.config.ofs_embed_dim is None else torch.full((1,), OFFSET, device=self.device)
        tables: dict[tuple[int, ...], positions.Rotary | None] = {}
        motion = self._motion_of(cond, span)

        def call(x_BTCHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> torch.Tensor:
            size = (x_BTCHW.shape[1], *x_BTCHW.shape[-2:])
            if size not in tables:
                tables[size] = positions.rotary(model, *size, self.device)
            x = x_BTCHW.expand(len(branches), -1, -1, -1, -1)
            with ExitStack() as stack:
                if motion is not None and self.parts.motion is not None:
                    stack.enter_context(self._guides())
                    stack.enter_context(self.parts.motion.applied(model, motion, tuple(x.shape)))
                found: torch.Tensor = model(
                    hidden_states=x, encoder_hidden_states=torch.cat([cond.text[branch] for branch in branches]),
                    timestep=t.expand(len(branches)), ofs=offset, image_rotary_emb=tables[size], return_dict=False,
                )[0]  # fmt: skip
            return found.float().transpose(1, 2)

        @torch.inference_mode()
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            x = x_BCTHW.transpose(1, 2).to(self.dtype)
            if cond.image_BTCHW is not None:
                x = torch.cat([x, cond.image_BTCHW], dim=2)
            tokens = x[:, :, 0].numel() // (self.config.patch_size**2 * (self.config.patch_size_t or 1))
            groups = [branches] if tokens * len(branches) <= BATCH_TOKENS else [(branch,) for branch in branches]
            outputs: dict[str, torch.Tensor] = {}
            with self.residency.using(model), precision(self.device, cond.low_precision):
                for group in groups:
                    found = call(x, t, group)
                    outputs.update({branch: found[index : index + 1] for index, branch in enumerate(group)})
            return outputs

        return run

    def _motion_of(self, cond: CogVideoXCond, span: Span) -> Any:
        """The motion of a span: of the whole clip, or of a window of it, cut as engine/context.py cuts the latents."""
        if cond.motion is None or self.parts.motion is None or span.num_frames >= cond.num_frames:
            return cond.motion
        count = self.num_latents(Span(start=0, stop=cond.num_frames))
        start, stop = (round(edge * count / cond.num_frames) for edge in (span.start, span.stop))
        return self.parts.motion.part(cond.motion, start, stop)

    # -- after the loop --------------------------------------------------------------------------------------------

    def decode(self, latents_BCTHW: torch.Tensor, plan: Plan, span: Span) -> Iterator[Chunk]:
        latents = self._without_padding(latents_BCTHW, span)
        with self.residency.using(self.parts.vae) as vae:
            slices = autoencoder.decode(vae, latents, self._in_tiles(plan))
            frames = (pixels_BCFHW[0].movedim(0, 1) for pixels_BCFHW in slices)
            yield from as_chunks(frames, span.start, plan.fps, partial(precision, self.device, plan.low_precision))

    @torch.inference_mode()
    def preview(
        self, x_BCTHW: torch.Tensor, output_BCTHW: torch.Tensor, sigma: float, plan: Plan, span: Span
    ) -> np.ndarray:
        """Preview the middle latent frame; decoded alone, it yields one frame."""
        clean = discrete.denoised(x_BCTHW, output_BCTHW, sigma, self.parts.scheduler)
        clean = self._without_padding(clean, span)
        middle = clean.shape[2] // 2
        with self.residency.using(self.parts.vae) as vae, precision(self.device, plan.low_precision):
            pixels = next(autoencoder.decode(vae, clean[:, :, middle : middle + 1], self._in_tiles(plan)))
        return from_unit(pixels[0].movedim(0, 1))

    def _without_padding(self, latents_BCTHW: torch.Tensor, span: Span) -> torch.Tensor:
        return latents_BCTHW[
            :, :, latents_BCTHW.shape[2] - autoencoder.latent_frames(self.parts.vae, span.num_frames) :
        ]
