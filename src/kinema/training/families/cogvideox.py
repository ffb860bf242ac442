"""LoRA training of CogVideoX text to video: velocity on the checkpoint's noise schedule.

The authors' loss, the error of the predicted clean latents with weights 1 / (1 - alpha_bar), equals the error of the
velocity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...diffusion.pixels import to_unit
from ...families.cogvideox import autoencoder, positions
from ..data.buckets import Bucket
from ..data.captioner import CaptionOf
from ..tasks.ddpm import Schedule
from .own_flow import FlowTask
from .text_learner import TextLearner


class VelocityTask(FlowTask):
    """FlowTask with a discrete noise schedule. Times are timesteps over the schedule's number of steps."""

    def __init__(self, *arguments: Any, schedule: Schedule, padding: int, **named: Any) -> None:
        """padding: a multiple of which the network takes latent frames (CogVideoX 1.5); the first is repeated."""
        super().__init__(*arguments, **named)
        self.schedule, self.padding = schedule, padding

    def clips(self, store: Bucket, index: Tensor) -> Tensor:
        found = super().clips(store, index)
        return torch.cat([found[:, :, :1]] * (-found.shape[2] % self.padding) + [found], dim=2)

    def times(self, count: int, generator: torch.Generator) -> Tensor:
        return self.schedule.draw(count, generator) / self.schedule.num_steps

    def mix(self, x0: Tensor, noise: Tensor, times_B: Tensor) -> tuple[Tensor, Tensor]:
        return self.schedule.mix(x0, noise, self.steps(times_B).to(x0.device))

    def steps(self, times_B: Tensor) -> Tensor:
        return (times_B * self.schedule.num_steps).round().long().clamp(max=self.schedule.num_steps - 1)

    def predict(self, noisy_BCTHW: Tensor, times_B: Tensor, states_BLD: Tensor) -> Tensor:
        x_BTCHW, kind = noisy_BCTHW.transpose(1, 2), self.network.dtype
        frames, _, rows, columns = x_BTCHW.shape[1:]
        found: Tensor = self.network(
            hidden_states=x_BTCHW.to(kind), timestep=self.steps(times_B).to(self.device),
            encoder_hidden_states=states_BLD.to(kind), return_dict=False,
            image_rotary_emb=positions.rotary(self.network, frames, rows, columns, x_BTCHW.device),
        )[0]  # fmt: skip
        return found.float().transpose(1, 2)


class CogVideoXLearner(TextLearner):
    @torch.no_grad()
    def encode(self, frames_FHWC: np.ndarray) -> Tensor:
        """Encode to scaled latents, with the mean of the posterior."""
        pixels_BCFHW, vae = to_unit(frames_FHWC).transpose(0, 1)[None], self.family.parts.vae
        tiles = autoencoder.is_large(vae, *pixels_BCFHW.shape[-2:])
        latents = autoencoder.encode(vae, pixels_BCFHW, torch.zeros(1, 1, 1, 1, 1), tiles)
        return (latents * self.family.scale)[0].transpose(0, 1)

    def task(
        self, clips: Bucket, held_out: Bucket, caption_of: CaptionOf, *, batch: int, drop: float, still: float
    ) -> VelocityTask:  # fmt: skip
        return VelocityTask(
            self.network, self.states, caption_of, clips, held_out, extra={}, device=self.device, batch=batch,
            drop=drop, still=still, schedule=Schedule.of(self.family.parts.scheduler),
            padding=self.family.config.patch_size_t or 1,
        )  # fmt: skip
