"""LoRA training of Wan 2.1 text to video, and of VACE with an empty context: flow matching on video latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor

from ...diffusion.pixels import to_unit
from ...families.wan import forward
from ..data import vace
from ..data.buckets import Bucket
from ..data.captioner import CaptionOf
from .own_flow import FlowTask


class WanLearner:
    """Trains with diffusers' attention processor: Kinema's own caches the text keys, which training changes."""

    def __init__(self, engine: Any, base: str, device: str, frames: int, fps: float) -> None:
        self.engine, self.family, self.device, self.frames = engine, engine.family, device, frames
        self.network = self.family.parts.transformer
        self.network.set_attn_processor(WanAttnProcessor())
        self.cache: dict[str, Tensor] = {}

    def sample(self, caption: str, picture: str, **fields: Any) -> np.ndarray:
        forward.prepare(self.network)
        try:
            found: np.ndarray = self.engine.generate(caption, **fields).frames()
        finally:
            self.network.set_attn_processor(WanAttnProcessor())
        return found

    @torch.no_grad()
    def encode(self, frames_FHWC: np.ndarray) -> Tensor:
        pixels_BCFHW = to_unit(frames_FHWC).transpose(0, 1)[None]
        return self.encode_pixels(pixels_BCFHW)[0].transpose(0, 1)

    @torch.no_grad()
    def encode_pixels(self, pixels_BCFHW: Tensor) -> Tensor:
        found: Tensor = self.family.encode_pixels(pixels_BCFHW.to(self.device)).float()
        return found.clone()

    @torch.no_grad()
    def states(self, captions: list[str]) -> Tensor:
        """Encode captions to (B, L, D), with a cache."""
        for caption in captions:
            if caption not in self.cache:
                length = int(self.family.card.options["text_length"].default)
                self.cache[caption] = self.family.text_states(caption, length)[0].clone().cpu()
        return torch.stack([self.cache[caption] for caption in captions]).to(self.device)

    def task(
        self, clips: Bucket, held_out: Bucket, caption_of: CaptionOf, *, batch: int, drop: float, still: float
    ) -> FlowTask:  # fmt: skip
        extra = {}
        if self.family.card.variant.startswith("vace"):
            extra["control_hidden_states"] = self.empty_context(clips.height, clips.width)
        return FlowTask(
            self.network, self.states, caption_of, clips, held_out, extra=extra, device=self.device, batch=batch,
            drop=drop, still=still,
        )  # fmt: skip

    def empty_context(self, height: int, width: int) -> Tensor:
        """VACE's context (1, 96, T, h, w) of a gray clip with a mask of ones."""
        gray = torch.zeros(1, 3, self.frames, height, width)
        return vace.context(self.encode_pixels, gray, torch.ones(1, self.frames, height, width))
