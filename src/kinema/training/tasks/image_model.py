"""Train a text-to-image UNet (Stable Diffusion) and its CLIP text encoder on frames of clips.

Every frame is an image with its clip's caption. The result is the image model of the miniatures of AnimateDiff,
Zeroscope and Stable Video Diffusion, which add temporal layers to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..core import processes
from ..core.frozen import Chosen, everything, freeze_except
from ..data.captioner import Captioner, CaptionOf
from ..data.frame_latents import FrameLatents
from .ddpm import Schedule, weighted_error
from .flow import noise_like

PLACES = 0.04
"""Share of captions that describe only the place."""
HELD_OUT_STEPS = (300, 600, 850)


class ImageTask:
    """Trains unet and text_encoder in place. trained: which parameters of the UNet are trained; text: is the text
    encoder trained?

    drop: share of captions replaced by "" (for guidance). object_weight: extra loss weight inside objects. late: shift
    of noise levels towards noise in the first 60 % of the training (Schedule.draw).
    """

    names_for_adam = ("conv_in", "conv_out", "time_embedding", "token_embedding", "position_embedding", "norm", "lora")

    def __init__(
        self, unet: nn.Module, text_encoder: nn.Module, tokenizer: Any, store: FrameLatents, held_out: FrameLatents,
        caption_of: CaptionOf, *, schedule: Schedule, device: str = "cpu", batch: int = 64, drop: float = 0.1,
        object_weight: float = 2.0, late: float = 0.5, trained: Chosen = everything, text: bool = True,
        judge: Callable[[int], dict[str, Any]] = lambda step: {},
    ):  # fmt: skip
        freeze_except(unet, trained)
        text_encoder.requires_grad_(text)
        self.words = Captioner(tokenizer, text_encoder, caption_of, device=device, drop=drop, places=PLACES)
        self.modules = {"unet": unet.to(device), "text_encoder": self.words.text_encoder}
        self.unet, self.store, self.held_out, self.schedule = unet, store, held_out, schedule
        self.device, self.batch_size = device, batch
        self.object_weight, self.late, self.judge = object_weight, late, judge
        self.samples = 0

    def predict(self, noisy: Tensor, t_B: Tensor, states: Tensor) -> Tensor:
        return self.unet(noisy, t_B.to(self.device), states, return_dict=False)[0]

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(self.store), (self.batch_size,), generator=generator)
        when = torch.randint(self.store.num_frames, (self.batch_size,), generator=generator)
        x0, weight = self.store.frames(index.to(self.device), when.to(self.device))
        t_B = self.schedule.draw(len(x0), generator, self.late if progress < 0.6 else 0.0)
        noisy, target = self.schedule.mix(x0, noise_like(x0, generator), t_B.to(self.device))
        states = self.words.embed(self.words.draw(self.store.seed[index].tolist(), generator))
        loss = weighted_error(self.predict(noisy, t_B, states), target, 1 + self.object_weight * weight)
        self.samples += len(x0) * processes.count()
        return loss, {}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Return held-out errors with fixed noise at a few noise levels, and the judge's scores."""
        index = torch.arange(min(128, len(self.held_out)), device=self.device)
        x0, weight = self.held_out.frames(index, index * 5 % self.held_out.num_frames)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)
        states = self.words.held_out(self.held_out.seed.tolist()[: len(x0)])
        found = {}
        for t in HELD_OUT_STEPS:
            t_B = torch.full((len(x0),), t, device=self.device)
            noisy, target = self.schedule.mix(x0, noise, t_B)
            error = weighted_error(self.predict(noisy, t_B, states), target, 1 + self.object_weight * weight)
            found[f"error_{t}"] = round(float(error), 4)
        return found | self.judge(step)
