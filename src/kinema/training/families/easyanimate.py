"""LoRA training of EasyAnimate V5.1 text to video: flow matching on video latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...diffusion.pixels import to_unit
from ..data.buckets import Bucket
from ..data.captioner import CaptionOf
from .own_flow import FlowTask


class EasyAnimateLearner:
    def __init__(self, engine: Any, base: str, device: str, frames: int, fps: float) -> None:
        self.engine, self.family, self.device = engine, engine.family, device
        self.network = self.family.parts.transformer
        self.family.parts.vae.to(device)
        self.cache: dict[str, Tensor] = {}

    @torch.no_grad()
    def encode(self, frames_FHWC: np.ndarray) -> Tensor:
        """Encode to scaled latents, with the mode of the posterior."""
        pixels_BCFHW = to_unit(frames_FHWC).transpose(0, 1)[None]
        found: Tensor = self.family.encode_pixels(pixels_BCFHW)[0].transpose(0, 1)
        return found

    @torch.no_grad()
    def states(self, captions: list[str]) -> Tensor:
        """Encode captions to (B, L, D), with a cache."""
        for caption in captions:
            if caption not in self.cache:
                self.cache[caption] = self.family.text_states(caption)[0].clone().cpu()
        return torch.stack([self.cache[caption] for caption in captions]).to(self.device)

    def sample(self, caption: str, picture: str, **fields: Any) -> np.ndarray:
        found: np.ndarray = self.engine.generate(caption, **fields).frames()
        return found

    def task(
        self, clips: Bucket, held_out: Bucket, caption_of: CaptionOf, *, batch: int, drop: float, still: float
    ) -> FlowTask:  # fmt: skip
        return FlowTask(
            self.network, self.states, caption_of, clips, held_out, extra={}, device=self.device, batch=batch,
            drop=drop, still=still,
        )  # fmt: skip
