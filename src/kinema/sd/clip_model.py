"""ClipModel: a video model built from an image model's parts, except for the call of its denoiser.

CLIP encodes the text, the image VAE encodes and decodes single frames, latents (1, C, F, h, w) have one latent frame
per frame, and the noise schedule is discrete. A family adds `prepare`, `predict`, and its own methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.card import Card
from ..core.chunk import Chunk
from ..core.errors import ModelError
from ..core.family import Prepared
from ..core.plan import Plan, Span, encoded
from ..core.prompt import cut_notes
from ..diffusion import scheduling
from ..diffusion.guidance import GuidanceStep, classifier_free
from ..diffusion.pixels import as_chunks, from_unit
from ..weights import adapters
from ..weights.adapter_keys import PLAIN, AdapterNames
from ..weights.device import precision
from ..weights.residency import Residency
from . import discrete, frames
from .image_model import ImageModel
from .options import ClipOptions
from .text import PromptStates, text_states, two_text_states


@dataclass
class PipelineParts:
    """The networks of a checkpoint, as diffusers and transformers classes. second: the second (tokenizer, text encoder)
    of Stable Diffusion XL models."""

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler: Any
    second: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        """Set the networks to inference mode."""
        for part in self.networks:
            part.eval().requires_grad_(False)

    @property
    def networks(self) -> list[Any]:
        return [self.text_encoder, self.unet, self.vae, *(self.second[1:] if self.second else ())]

    def encode_prompt(self, prompt: str, residency: Residency, skip: int, weigh: bool = False) -> PromptStates:
        """Encode a prompt to the denoiser's text inputs. weigh: parentheses weigh words."""
        with residency.using(self.text_encoder) as encoder:
            if self.second is None:
                return PromptStates(text_states(prompt, self.tokenizer, encoder, residency.device, skip, weigh))
            tokenizer, other = self.second
            with residency.using(other) as second:
                found = two_text_states(
                    prompt, (self.tokenizer, tokenizer), (encoder, second), residency.device, skip, weigh
                )  # fmt: skip
        return PromptStates(*found)

    @classmethod
    def read(cls, image: ImageModel, unet: Callable[[], Any], what: str, scheduler: Any = None) -> PipelineParts:
        """Read an image model's parts, with the family's own denoiser, and, if `scheduler` is set, with the scheduler
        that it builds from the image model's. what: start of error messages. ModelError if a part cannot be read or
        does not fit."""
        try:
            own = image.scheduler()
            return cls(
                tokenizer=image.tokenizer(), text_encoder=image.text_encoder(), unet=unet(), vae=image.vae(),
                scheduler=scheduler(own) if scheduler else own, second=image.second_text_encoder(),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"{what}: {str(error).splitlines()[0]}") from error


@dataclass(frozen=True)
class Cond:
    """The conditions of a request. text: by branch. source_BCTHW: latents of a source clip. options: the plan's."""

    text: dict[str, PromptStates]
    source_BCTHW: torch.Tensor | None
    grid: tuple[int, int]
    styles: tuple[tuple[str, float], ...]
    low_precision: bool
    options: ClipOptions


class ClipModel:
    """A loaded model. Not thread-safe: one request at a time. adapter_names: spellings of the denoiser's layers in
    adapter files."""

    adapter_names: AdapterNames = PLAIN

    def __init__(self, card: Card, device: torch.device, parts: PipelineParts | None = None) -> None:
        self.card, self.device = card, device
        if parts is not None:
            self.take(parts)

    def take(self, parts: PipelineParts) -> None:
        """Replace the networks."""
        self.parts = parts
        self.residency = Residency(self.device, parts.networks)
        self.dtype = parts.unet.dtype
        self.space = frames.space_factor(parts.vae)

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        return ()

    def notes(self, plan: Plan) -> tuple[str, ...]:
        """Notes on truncated prompts, without duplicates from two tokenizers."""
        tokenizers = [self.parts.tokenizer, *(self.parts.second[:1] if self.parts.second else ())]
        found = [
            note
            for name, text in encoded(plan).items()
            for tokenizer in tokenizers
            for note in cut_notes(name, text, tokenizer, int(tokenizer.model_max_length))
        ]
        return tuple(dict.fromkeys(found))

    @torch.inference_mode()
    def encode(self, plan: Plan, prepared: Prepared) -> Cond:
        adapters.use(self.parts.unet, prepared.styles, names=self.adapter_names)
        adapters.use(self.parts.text_encoder, prepared.styles, text=True)
        prompts, options = dict(zip(("cond", "uncond"), encoded(plan).values())), ClipOptions.of(plan)
        weigh = options.prompt_weights != "off"
        text = {
            branch: self.parts.encode_prompt(prompt, self.residency, options.clip_skip, weigh).to(self.dtype)
            for branch, prompt in prompts.items()
        }
        source = None
        if prepared.source_BCFHW is not None:
            with self.residency.using(self.parts.vae) as vae, precision(self.device, plan.low_precision):
                source = frames.encode(vae, prepared.source_BCFHW)
        grid = (plan.height // self.space, plan.width // self.space)
        return Cond(text, source, grid, prepared.styles, plan.low_precision, options)

    def latent_shape(self, cond: Cond, span: Span) -> tuple[int, ...]:
        return (1, self.parts.unet.config.in_channels, span.num_frames, *cond.grid)

    def scheduler(self, plan: Plan) -> Any:
        return discrete.scheduler_of(self.parts.scheduler, plan.steps, self.device)

    def begin(
        self, plan: Plan, cond: Cond, scheduler: Any, noise_BCTHW: torch.Tensor
    ) -> tuple[torch.Tensor, int]:  # fmt: skip
        if cond.source_BCTHW is None:
            return scheduling.begin(scheduler, noise_BCTHW), 0
        clean, strength = cond.source_BCTHW.to(self.device), cond.options.strength
        return scheduling.begin_with(scheduler, clean, noise_BCTHW.to(self.device), plan.steps, strength)

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> tuple[GuidanceStep, ...]:
        return classifier_free(len(scheduler.timesteps), plan.guidance, plan.guidance_interval)

    @torch.inference_mode()
    def decode(self, latents_BCTHW: torch.Tensor, plan: Plan, span: Span) -> Iterator[Chunk]:
        options = ClipOptions.of(plan)
        at_once = 1 if options.low_memory else options.decode_chunk
        with self.residency.using(self.parts.vae) as vae:
            slices = frames.decode(vae, latents_BCTHW, at_once)
            yield from as_chunks(slices, span.start, plan.fps, partial(precision, self.device, plan.low_precision))

    @torch.inference_mode()
    def preview(
        self, x_BCTHW: torch.Tensor, output_BCTHW: torch.Tensor, sigma: float, plan: Plan, span: Span
    ) -> np.ndarray:
        """Preview the middle frame."""
        clean = discrete.denoised(x_BCTHW, output_BCTHW, sigma, self.parts.scheduler)
        middle = clean.shape[2] // 2
        with self.residency.using(self.parts.vae) as vae, precision(self.device, plan.low_precision):
            return from_unit(next(frames.decode(vae, clean[:, :, middle : middle + 1])))
