"""LoRA training of EasyAnimate V5.1 text to video: flow matching on video latents."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...diffusion.pixels import to_unit
from ..data.buckets import Bucket
from ..data.captioner import CaptionOf
from .own_flow import FlowTask
from .text_learner import TextLearner


class EasyAnimateLearner(TextLearner):
    @torch.no_grad()
    def encode(self, frames_FHWC: np.ndarray) -> Tensor:
        """Encode to scaled latents, with the mode of the posterior."""
        pixels_BCFHW = to_unit(frames_FHWC).transpose(0, 1)[None]
        found: Tensor = self.family.encode_pixels(pixels_BCFHW)[0].transpose(0, 1)
        return found

    def task(
        self, clips: Bucket, held_out: Bucket, caption_of: CaptionOf, *, batch: int, drop: float, still: float
    ) -> FlowTask:  # fmt: skip
        return FlowTask(
            self.network, self.states, caption_of, clips, held_out, extra={}, device=self.device, batch=batch,
            drop=drop, still=still,
        )  # fmt: skip
