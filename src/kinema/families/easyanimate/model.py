"""EasyAnimateFamily: a loaded EasyAnimate V5.1 model with the interface of core/family.py. One class for text to video,
InP, Control and Control-Camera, which differ in the channels next to the noise (inputs.py)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...conditions.rays import track
from ...core.card import Card
from ...core.chunk import Chunk
from ...core.family import Predict, Window
from ...core.plan import Plan, Span, encoded
from ...core.prompt import cut_notes
from ...diffusion import flow, scheduling
from ...diffusion.guidance import GuidanceStep
from ...diffusion.noise import noise
from ...diffusion.pixels import as_chunks, from_unit
from ...diffusion.prediction import FLOW, LatentScale, SigmaModel
from ...diffusion.samplers import chosen
from ...diffusion.sigma_schedules import flow_levels
from ...weights import adapters
from ...weights.device import precision
from ...weights.residency import Residency
from . import autoencoder, forward, guidance, inputs, prepare
from .cards import TEXT_LENGTH
from .options import EasyAnimateOptions

BATCH_TOKENS = 16_384
"""Branches run as one batch up to this total number of tokens; above, one at a time."""
PROMPTS_KEPT = 32
MU = 1.0
"""The published pipelines' argument for schedulers with dynamic shifting, for every size."""


@dataclass(frozen=True)
class EasyAnimateCond:
    """The conditions of a request. text: states of each branch (1, L, D). beside_BCTHW: channels next to the noise.
    source_BCTHW: scaled latents of a source clip. grid: the latents' rows and columns."""

    text: dict[str, torch.Tensor]
    beside_BCTHW: torch.Tensor | None
    source_BCTHW: torch.Tensor | None
    grid: tuple[int, int]
    styles: tuple[tuple[str, float], ...]
    low_precision: bool


@dataclass
class EasyAnimateParts:
    """The networks of a checkpoint, as diffusers and transformers classes."""

    tokenizer: Any
    text_encoder: Any
    transformer: Any
    vae: Any
    scheduler: Any
    files: tuple[Path, ...] = ()
    """The weight files of the other parts, if the checkpoint is a single file."""


class EasyAnimateFamily:
    """A loaded model. Not thread-safe: one request at a time."""

    def __init__(self, card: Card, parts: EasyAnimateParts, device: torch.device) -> None:
        self.card, self.parts, self.device = card, parts, device
        self.residency = Residency(
            device, [parts.text_encoder, parts.transformer, parts.vae],
            blocks={
                parts.transformer: parts.transformer.transformer_blocks,
                parts.text_encoder: parts.text_encoder.model.language_model.layers,
            },
        )  # fmt: skip
        self.config = parts.transformer.config
        self.dtype = parts.transformer.dtype
        self.space = autoencoder.space_factor(parts.vae)
        self.prompts: OrderedDict[str, torch.Tensor] = OrderedDict()
        autoencoder.prepare(parts.vae, device)
        forward.prepare(parts.transformer)

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        return self.parts.files

    # -- before the loop -------------------------------------------------------------------------------------------

    def notes(self, plan: Plan) -> tuple[str, ...]:
        limit = TEXT_LENGTH - self._num_template_tokens()
        cut = [cut_notes(name, prompt, self.parts.tokenizer, limit) for name, prompt in encoded(plan).items()]
        return tuple(note for notes in cut for note in notes)

    def _num_template_tokens(self) -> int:
        """Tokens of the chat around a prompt."""
        ids = [self.parts.tokenizer([text]).input_ids[0] for text in (self._chat("a"), "a")]
        return len(ids[0]) - len(ids[1])

    def prepare(self, plan: Plan, window: Window | None = None) -> prepare.EasyAnimatePrepared:
        return prepare.prepare(plan, window)

    @torch.inference_mode()
    def encode(self, plan: Plan, prepared: prepare.EasyAnimatePrepared) -> EasyAnimateCond:
        adapters.use(self.parts.transformer, prepared.styles)
        prompts = dict(zip(("cond", "uncond"), encoded(plan).values()))
        text = {branch: self.text_states(prompt) for branch, prompt in prompts.items()}
        options, grid = EasyAnimateOptions.of(plan), (plan.height // self.space, plan.width // self.space)
        frames = autoencoder.latent_frames(self.parts.vae, plan.spans[0].num_frames)
        shape = (1, self.config.out_channels, frames, *grid)
        beside = source = None
        with precision(self.device, plan.low_precision):
            scaled = partial(self._latents, tiles=options.decode_tiles == "always")
            if self.card.variant == "inp":
                drawn = partial(self._image_noise, plan.seed, options.image_noise)
                beside = inputs.inpaint(prepared, scaled, shape, self.scale, drawn)
            elif self.card.variant == "control":
                beside = inputs.control(prepared, scaled, shape)
            elif self.card.variant == "camera":
                seen = next((each for each in plan.conditions if each.kind == "camera"), None)
                moved = track(seen, plan.frames, options.camera_speed, options.camera_lens) if seen else None
                beside = inputs.camera(prepared, scaled, shape, moved, (plan.width, plan.height))
            if prepared.source_BCFHW is not None and options.strength < 1.0:
                source = scaled(prepared.source_BCFHW, noise_BCTHW=noise(plan.seed, "source", shape))
        if beside is not None:
            beside = beside.to(self.device, self.dtype)
        return EasyAnimateCond(text, beside, source, grid, prepared.styles, plan.low_precision)

    def _image_noise(self, seed: int, amount: float, shape: tuple[int, ...]) -> torch.Tensor:
        """Noise for the kept pixels; none if the model was trained without."""
        return noise(seed, "image", shape) * (amount if self.config.add_noise_in_inpaint_model else 0.0)

    @property
    def scale(self) -> float:
        """The factor from the autoencoder's latents to the transformer's."""
        return float(self.parts.vae.config.scaling_factor)

    def _chat(self, prompt: str) -> str:
        message = {"role": "user", "content": [{"type": "text", "text": prompt}]}
        found: str = self.parts.tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
        return found

    def text_states(self, prompt: str) -> torch.Tensor:
        """The penultimate hidden states (1, 256, D) of Qwen2-VL for a chat with the prompt, padding included: the
        transformer was trained without a mask. Cached for the last prompts."""
        if prompt not in self.prompts:
            given = self.parts.tokenizer(
                text=[self._chat(prompt)], padding="max_length", max_length=TEXT_LENGTH, truncation=True,
                return_attention_mask=True, padding_side="right", return_tensors="pt",
            ).to(self.device)  # fmt: skip
            with torch.inference_mode(), self.residency.using(self.parts.text_encoder) as encoder:
                states = encoder.model(
                    input_ids=given.input_ids, attention_mask=given.attention_mask, output_hidden_states=True
                ).hidden_states[-2]
                self.prompts[prompt] = states.to(self.device, self.dtype)
            while len(self.prompts) > PROMPTS_KEPT:
                self.prompts.popitem(last=False)
        self.prompts.move_to_end(prompt)
        return self.prompts[prompt]

    def _latents(
        self, x_BCFHW: torch.Tensor, noise_BCTHW: torch.Tensor | None = None, tiles: bool = False
    ) -> torch.Tensor:  # fmt: skip
        with self.residency.using(self.parts.vae) as vae:
            found: torch.Tensor = autoencoder.encode(vae, x_BCFHW, noise_BCTHW, tiles)
        return found * self.scale

    def encode_pixels(self, x_BCFHW: torch.Tensor) -> torch.Tensor:
        return self._latents(x_BCFHW)

    # -- in the loop -----------------------------------------------------------------------------------------------

    def latent_shape(self, cond: EasyAnimateCond, span: Span) -> tuple[int, ...]:
        return (1, self.config.out_channels, autoencoder.latent_frames(self.parts.vae, span.num_frames), *cond.grid)

    def num_frames(self, latent_frames: int) -> int:
        return (latent_frames - 1) * autoencoder.time_factor(self.parts.vae) + 1

    def latent_scale(self) -> LatentScale:
        return LatentScale(0.0, 1 / self.scale)

    def part(self, cond: EasyAnimateCond, places: slice) -> EasyAnimateCond:
        beside = cond.beside_BCTHW
        return replace(cond, beside_BCTHW=None if beside is None else beside[:, :, places])

    def sigma_model(self, plan: Plan) -> SigmaModel:
        config = self.parts.scheduler.config
        shift = config.shift
        if config.use_dynamic_shifting:
            shift = float(np.exp(MU)) if config.time_shift_type == "exponential" else MU
        levels = flow_levels(shift)
        return SigmaModel(FLOW, levels, levels.timestep)

    def scheduler(self, plan: Plan) -> Any:
        """A new scheduler: of the plan's sampler and schedule, else of the checkpoint's class."""
        own = type(self.parts.scheduler).from_config(self.parts.scheduler.config)
        own.set_timesteps(plan.steps, device=self.device, mu=MU)
        own.set_begin_index(0)
        return chosen(own, EasyAnimateOptions.of(plan), plan, self.sigma_model(plan))

    def begin(
        self, plan: Plan, cond: EasyAnimateCond, scheduler: Any, noise_BCTHW: torch.Tensor
    ) -> tuple[torch.Tensor, int]:  # fmt: skip
        if cond.source_BCTHW is None:
            return scheduling.begin(scheduler, noise_BCTHW), 0
        clean, strength = cond.source_BCTHW.to(self.device), EasyAnimateOptions.of(plan).strength
        return scheduling.begin_with(scheduler, clean, noise_BCTHW.to(self.device), plan.steps, strength)

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> tuple[GuidanceStep, ...]:
        share = EasyAnimateOptions.of(plan).guidance_rescale
        return guidance.steps(len(scheduler.timesteps), plan.guidance, plan.guidance_interval, share)

    def predict(self, cond: EasyAnimateCond, span: Span) -> Predict:
        model = self.parts.transformer
        adapters.use(model, cond.styles)  # another request may have been encoded since
        bound: dict[tuple[str, ...], forward.BoundText] = {}

        @torch.inference_mode()
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            x = x_BCTHW.to(self.dtype)
            tokens = x[:, 0].numel() // self.config.patch_size**2
            groups = [branches] if tokens * len(branches) <= BATCH_TOKENS else [(branch,) for branch in branches]
            outputs: dict[str, torch.Tensor] = {}
            with self.residency.using(model), precision(self.device, cond.low_precision):
                for group in groups:
                    if group not in bound:
                        text = torch.cat([cond.text[branch] for branch in group])
                        bound[group] = forward.bind(model, text, tuple(x.shape))
                    found = forward.forward(
                        model, x.expand(len(group), -1, -1, -1, -1), t.expand(len(group)).to(self.device, self.dtype),
                        bound[group], cond.beside_BCTHW,
                    ).float()  # fmt: skip
                    outputs.update({branch: found[index : index + 1] for index, branch in enumerate(group)})
            return outputs

        return run

    # -- after the loop --------------------------------------------------------------------------------------------

    def decode(self, latents_BCTHW: torch.Tensor, plan: Plan, span: Span) -> Iterator[Chunk]:
        frames = self.decode_pixels(latents_BCTHW, plan)
        yield from as_chunks(frames, span.start, plan.fps, partial(precision, self.device, plan.low_precision))

    def decode_pixels(self, latents_BCTHW: torch.Tensor, plan: Plan) -> Iterator[torch.Tensor]:
        tiles = EasyAnimateOptions.of(plan).decode_tiles == "always"
        with self.residency.using(self.parts.vae) as vae:
            yield from (pixels[0].movedim(0, 1) for pixels in autoencoder.decode(vae, latents_BCTHW, tiles))

    @torch.inference_mode()
    def preview(
        self, x_BCTHW: torch.Tensor, output_BCTHW: torch.Tensor, sigma: float, plan: Plan, span: Span
    ) -> np.ndarray:
        """Preview the middle latent frame; decoded alone, it yields one frame."""
        clean = flow.denoised(x_BCTHW, output_BCTHW, sigma)
        middle = clean.shape[2] // 2
        with precision(self.device, plan.low_precision):
            return from_unit(next(self.decode_pixels(clean[:, :, middle : middle + 1], plan)))
