"""LoRA training of Stable Video Diffusion: the first frame of each window is the conditioning image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.buckets import Bucket
from ..data.captioner import CaptionOf
from ..tasks import lora
from ..tasks.edm import NoiseLevels
from ..tasks.image_to_video import ImageToVideoTask
from .clips import by_frame

LEVELS = NoiseLevels(1.0, 1.6)
"""The noise levels of the paper's image-to-video stage (arXiv 2311.15127, appendix D)."""


class SvdLearner:
    def __init__(self, engine: Any, base: str, device: str, frames: int, fps: float) -> None:
        self.engine, self.parts, self.network = engine, engine.family.parts, engine.family.parts.unet
        self.device, self.frames, self.fps = device, frames, fps
        self.parts.vae.to(device)
        self.parts.image_encoder.to(device)

    @torch.no_grad()
    def encode(self, frames_FHWC: np.ndarray) -> Tensor:
        return by_frame(self.parts.vae, frames_FHWC)

    def sample(self, caption: str, picture: str, **fields: Any) -> np.ndarray:
        found: np.ndarray = self.engine.generate("", image=picture, **fields).frames()
        return found

    def task(
        self, clips: Bucket, held_out: Bucket, caption_of: CaptionOf, *, batch: int, drop: float, still: float
    ) -> ImageToVideoTask:  # fmt: skip
        """As Learner.task. The model has no text input; drop is the share of clips without the image."""
        return ImageToVideoTask(
            self.network, self.parts.vae, self.parts.image_encoder, clips, held_out, clips.first_frames,
            held_out.first_frames, clip_mean=self.parts.clip_mean, clip_std=self.parts.clip_std, levels=LEVELS,
            num_frames=self.frames, fps=self.fps, without=drop, device=self.device, batch=batch, object_weight=0.0,
            trained=lora.is_trained, slow=False, still=still,
        )  # fmt: skip
