"""LoRA training of AnimateDiff and Zeroscope models: one latent frame per frame, and a discrete noise schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...diffusion.pixels import to_unit
from ...sd import bases, frames
from ...sd.on_base import OnBase
from ..data.buckets import Bucket
from ..data.captioner import CachedCaptioner, CaptionOf
from ..tasks import lora
from ..tasks.ddpm import Schedule
from ..tasks.temporal import TemporalTask

LATE, LEAST = 1.5, 0.6
"""Noise levels for motion (TemporalTask) on schedules that end in pure noise: the direction of motion is decided in the
last two fifths, mostly at their end."""


def by_frame(vae: Any, frames_FHWC: np.ndarray) -> Tensor:
    """Encode each uint8 frame separately to latents (F, C, h, w)."""
    return frames.encode(vae, to_unit(frames_FHWC).transpose(0, 1)[None])[0].transpose(0, 1)


class TemporalLearner:
    text_by_frame = False

    def __init__(self, engine: Any, base: str, device: str, num_frames: int, fps: float) -> None:
        self.engine, self.device, self.options = engine, device, {}
        if isinstance(engine.family, OnBase):
            engine.family.use_base(bases.find(base).place)
            self.options = {"base": base}
        self.parts = engine.family.parts
        self.network = self.parts.unet
        self.parts.vae.to(device)

    @torch.no_grad()
    def encode(self, frames_FHWC: np.ndarray) -> Tensor:
        return by_frame(self.parts.vae, frames_FHWC)

    def sample(self, caption: str, picture: str, **fields: Any) -> np.ndarray:
        found: np.ndarray = self.engine.generate(caption, options=self.options, **fields).frames()
        return found

    def task(
        self, clips: Bucket, held_out: Bucket, caption_of: CaptionOf, *, batch: int, drop: float, still: float
    ) -> TemporalTask:  # fmt: skip
        schedule = Schedule.of(self.parts.scheduler)
        late, least = (LATE, LEAST) if schedule.zero_snr and still < 1 else (1.0, 0.0)
        words = CachedCaptioner(
            self.parts.tokenizer, self.parts.text_encoder, caption_of, device=self.device, drop=drop
        )
        return TemporalTask(
            self.network, words, clips, held_out, schedule=schedule, device=self.device, batch=batch,
            trained=lora.is_trained, pictures=False, text_by_frame=self.text_by_frame, late=late,
            late_until=1.0 if least else 0.6, least=least, still=still,
        )  # fmt: skip


class MotionLearner(TemporalLearner):
    text_by_frame = True
