"""AnimateDiff and models of Zeroscope's kind: an image model's parts, a latent frame for each frame, noise on a
discrete schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinema.diffusion.pixels import to_unit
from kinema.sd import bases, frames
from kinema.sd.on_base import OnBase

from .. import lora
from ..buckets import Bucket
from ..captioner import Remembering, Tell
from ..ddpm import Schedule
from ..temporal import TemporalTask

LATE = 3.0
"""How far noise levels are moved towards noise (TemporalTask) where a schedule ends in noise alone: two thirds of them in
the last fifth. Which way things go is settled there, and that is what is learnt from a few clips of one motion."""


def by_frame(vae: Any, frames_FHWC: np.ndarray) -> Tensor:
    """uint8 frames to latents (F, C, h, w), each for itself."""
    return frames.encode(vae, to_unit(frames_FHWC).transpose(0, 1)[None])[0].transpose(0, 1)


class TemporalLearner:
    text_by_frame = False

    def few(self, num_frames: int) -> int:
        """Frames of a clip that a step sees at first (TemporalTask); 0: all."""
        return 0

    def __init__(self, engine: Any, base: str, device: str, num_frames: int, fps: float) -> None:
        self.engine, self.device, self.options = engine, device, {}
        if isinstance(engine.family, OnBase):
            engine.family.stand_on(bases.find(base).place)
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

    def task(self, clips: Bucket, held_out: Bucket, tell: Tell, *, batch: int, drop: float) -> TemporalTask:
        schedule = Schedule.of(self.parts.scheduler)
        late = {"late": LATE, "late_until": 1.0} if schedule.zero_snr else {}
        words = Remembering(self.parts.tokenizer, self.parts.text_encoder, tell, device=self.device, drop=drop)
        return TemporalTask(
            self.network, words, clips, held_out, schedule=schedule, device=self.device, batch=batch,
            trained=lora.is_trained, pictures=False, text_by_frame=self.text_by_frame,
            few=self.few(clips.num_frames), **late,
        )  # fmt: skip


class MotionLearner(TemporalLearner):
    text_by_frame = True

    def few(self, num_frames: int) -> int:
        return num_frames // 2
