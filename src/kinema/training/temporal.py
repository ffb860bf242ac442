"""Training the temporal layers of a video UNet on clips (Video LDM, arXiv 2304.08818): the image model under them, and
its text encoder, stay what they are, to the bit; or all of the UNet is trained (ModelScope, arXiv 2308.06571).

Some batches are single pictures out of the clips (ModelScope's way): temporal layers learn to leave a lone frame alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kinema.sd.inflate import digest, is_temporal
from kinema.toyland.scene import World

from . import processes
from .ddpm import Schedule, weighted_error
from .frame_latents import FrameLatents
from .video import WORDINGS, caption, noise_like

PICTURES_EVERY = 8
"""One batch in so many is single pictures."""
HELD_OUT_STEPS = (300, 600, 850)


class TemporalTask:
    """video: a UNet3DConditionModel, trained in place. whole: train the spatial layers too. text_encoder: frozen.

    drop: share of captions that are emptied. late: how far noise levels are moved towards noise in the first 60 %:
    motion is decided there.
    """

    names_for_adam = ("conv_in", "conv_out", "time_embedding", "norm", "proj_out")

    def __init__(
        self, video: Any, text_encoder: Any, tokenizer: Any, store: FrameLatents, held_out: FrameLatents, world: World,
        *, schedule: Schedule, device: str = "cpu", batch: int = 8, whole: bool = False, drop: float = 0.1,
        object_weight: float = 2.0, late: float = 1.0, judge: Callable[[int], dict[str, Any]] = lambda step: {},
    ):  # fmt: skip
        for name, parameter in video.named_parameters():
            parameter.requires_grad_(whole or is_temporal(name))
        self.video, self.text_encoder, self.tokenizer = video.to(device), text_encoder.to(device).eval(), tokenizer
        self.text_encoder.requires_grad_(False)
        self.modules = {"video": self.video}
        self.store, self.held_out, self.world, self.schedule, self.device = store, held_out, world, schedule, device
        self.batch_size, self.whole, self.drop, self.late, self.judge = batch, whole, drop, late, judge
        self.object_weight, self.samples = object_weight, 0
        self.spatial = digest(video, temporal=False)

    @torch.no_grad()
    def embed(self, captions: list[str]) -> Tensor:
        """Text states (B, L, D) of padded captions."""
        length = self.tokenizer.model_max_length
        words = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).to(self.device)
        return self.text_encoder(words.input_ids).last_hidden_state

    def captions(self, index: Tensor, generator: torch.Generator) -> list[str]:
        chance = torch.rand(len(index), generator=generator).tolist()
        number = torch.randint(WORDINGS, (len(index),), generator=generator).tolist()
        seeds = self.store.seed[index].tolist()
        return [
            "" if share < self.drop else caption(seed, self.world, which, False)
            for seed, which, share in zip(seeds, number, chance, strict=True)
        ]

    def predict(self, noisy_BCFHW: Tensor, t_B: Tensor, states: Tensor) -> Tensor:
        return self.video(noisy_BCFHW, t_B.to(self.device), states, return_dict=False)[0]

    def clips(self, store: FrameLatents, index: Tensor, frames: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Latents (B, C, F, h, w) and object weights (B, F, h, w)."""
        latents = store.latents[index][:, frames].float().transpose(1, 2)
        return latents, 1 + self.object_weight * store.weight[index][:, frames].float()

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        alone = step % PICTURES_EVERY == PICTURES_EVERY - 1
        count = self.batch_size * (4 if alone else 1)
        index = torch.randint(len(self.store), (count,), generator=generator)
        when = int(torch.randint(self.store.num_frames, (), generator=generator))
        x0, weight = self.clips(self.store, index.to(self.device), slice(when, when + 1) if alone else slice(None))
        t_B = self.schedule.draw(count, generator, self.late if progress < 0.6 else 0.0)
        noisy, target = self.schedule.mix(x0, noise_like(x0, generator), t_B.to(self.device))
        predicted = self.predict(noisy, t_B, self.embed(self.captions(index, generator)))
        self.samples += count * processes.count()
        return weighted_error(predicted, target, weight), {}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Held-out error on clips with fixed noise, and how much of it is due to the order of the frames: the rise in
        per cent where every frame is told apart from its neighbours by a shuffle."""
        index = torch.arange(min(32, len(self.held_out)), device=self.device)
        x0, weight = self.clips(self.held_out, index)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)
        states = self.embed([caption(seed, self.world, 0, False) for seed in self.held_out.seed.tolist()[: len(x0)]])
        found: dict[str, Any] = {}
        mixed = torch.randperm(x0.shape[2], generator=torch.Generator().manual_seed(2))
        for t in HELD_OUT_STEPS:
            t_B = torch.full((len(x0),), t, device=self.device)
            noisy, target = self.schedule.mix(x0, noise, t_B)
            error = weighted_error(self.predict(noisy, t_B, states), target, weight)
            found[f"error_{t}"] = round(float(error), 4)
            if t == HELD_OUT_STEPS[1]:
                out = self.predict(noisy[:, :, mixed], t_B, states)
                other = weighted_error(out, target[:, :, mixed], weight[:, mixed])
                found["shuffled_percent"] = round(100 * float(other / error - 1), 2)
        return found | self.judge(step)

    def proof(self) -> dict[str, Any]:
        """What stayed: digests of the spatial layers before and after. RuntimeError where frozen ones changed."""
        now = digest(self.video, temporal=False)
        if not self.whole and now != self.spatial:
            raise RuntimeError("Spatial layers that were to stay frozen have changed.")
        return {"spatial_before": self.spatial, "spatial_after": now}
