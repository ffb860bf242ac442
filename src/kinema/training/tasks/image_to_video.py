"""Train the network of Stable Video Diffusion (arXiv 2311.15127) on clips. Its conditions are an image, the amount of
motion and the frame rate.

The image is the first frame with a little noise; its latents (not scaled) are concatenated to those of every frame, and
its CLIP embedding enters by cross-attention. A share of both is zero, for guidance. All layers are trained by default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...families.svd.prepare import for_clip
from ..core import processes
from ..core.frozen import Chosen, Frozen, everything
from ..data.frame_latents import to_network
from .ddpm import weighted_error
from .edm import NoiseLevels, mix
from .flow import noise_like
from .temporal import Clips, batch_limit

AUGMENT = NoiseLevels(-3.0, 0.5)
"""Noise on the image."""
BUCKETS = 255
HELD_OUT_SIGMAS = (0.5, 2.0, 8.0)
Pictures = Callable[[Tensor, int], Tensor]
"""(indices of clips (B,), index of the frame) to uint8 frames (B, H, W, 3)."""
SLOW_EVERY = 6
"""One batch in so many has every second frame, at half the frame rate."""
FIRST = 3.0
"""Loss weight of the first frame, which is the image."""
MOST = 8
"""Maximum factor by which a batch of short clips is larger."""


def motion_of(latents_FChw: Tensor) -> float:
    """Amount of motion: the mean absolute change of latents from frame to frame."""
    frames = latents_FChw.float()
    return float((frames[1:] - frames[:-1]).abs().mean())


class Buckets:
    """Maps motion to its quantile among the training clips, 0 to 255. bounds: the quantiles, ascending."""

    def __init__(self, bounds: list[float]) -> None:
        self.bounds = torch.tensor(bounds)

    @classmethod
    def of(cls, motions: list[float]) -> Buckets:
        return cls(torch.quantile(torch.tensor(motions), torch.linspace(0, 1, BUCKETS + 1)).tolist())

    def __call__(self, motion: float) -> float:
        return float(torch.searchsorted(self.bounds, torch.tensor(motion)).clamp(max=BUCKETS))


class ImageToVideoTask(Frozen):
    """video: a UNetSpatioTemporalConditionModel, trained in place. trained: which parameters. pictures: returns frames
    of clips as uint8 (B, H, W, 3), in the order of the latents. use: indices of the training clips (all). without:
    share of clips without the image. clip_mean, clip_std: normalization of the image encoder. lengths: frames per batch
    in the first 60 %, cyclically (num_frames); short clips and single frames teach to keep the image at a fraction of
    the cost. slow: include batches at half the frame rate? still: as in ddpm.weighted_error.
    """

    names_for_adam = ("conv_in", "conv_out", "time_embedding", "add_embedding", "mix_factor", "norm", "time_pos_embed")

    def __init__(
        self, video: Any, vae: Any, image_encoder: Any, store: Clips, held_out: Clips, pictures: Pictures,
        held_out_pictures: Pictures, *, clip_mean: list[float], clip_std: list[float], levels: NoiseLevels,
        num_frames: int, fps: float, use: Tensor | None = None, without: float = 0.1, device: str = "cpu",
        batch: int = 4, object_weight: float = 2.0, lengths: tuple[int, ...] = (), buckets: Buckets | None = None,
        trained: Chosen = everything, slow: bool = True, still: float = 1.0,
        judge: Callable[[int], dict[str, Any]] = lambda step: {},
    ):  # fmt: skip
        self.freeze(video, trained)
        self.video, self.vae, self.image_encoder = video.to(device), vae, image_encoder
        self.modules: dict[str, nn.Module] = {"video": self.video}
        self.store, self.held_out, self.pictures_of, self.held_out_pictures = (
            store, held_out, pictures, held_out_pictures
        )  # fmt: skip
        self.slow, self.still = slow, still
        self.clip_mean, self.clip_std, self.levels, self.fps = clip_mean, clip_std, levels, fps
        self.num_frames, self.without, self.device, self.batch_size = num_frames, without, device, batch
        self.object_weight, self.judge, self.samples = object_weight, judge, 0
        self.lengths = lengths or (num_frames,)
        self.use = torch.arange(len(store)) if use is None else use
        self.motion = torch.tensor([motion_of(latents) for latents in store.latents])
        self.buckets = buckets or Buckets.of(self.motion.tolist())

    @torch.no_grad()
    def pictures(self, frames_BHWC: Tensor, strength_B: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(CLIP embeddings (B, 1, D), latents (B, C, h, w) of the noisy images)."""
        pixels = to_network(frames_BHWC)
        seen = for_clip(pixels.to(self.device), self.clip_mean, self.clip_std)
        embedding = self.image_encoder(seen).image_embeds
        noisy = pixels + strength_B.view(-1, 1, 1, 1) * torch.randn(pixels.shape, generator=generator)
        return embedding[:, None], self.vae.encode(noisy.to(self.device)).latent_dist.mode()

    def predict(self, seen_BTCHW: Tensor, c_noise_B: Tensor, picture: Tensor, embedding: Tensor, numbers_B3: Tensor):
        image = picture[:, None].expand(-1, seen_BTCHW.shape[1], -1, -1, -1)
        both = torch.cat([seen_BTCHW, image.to(seen_BTCHW)], 2)
        return self.video(
            both, c_noise_B.to(self.device), embedding, added_time_ids=numbers_B3.to(self.device), return_dict=False
        )[0]

    def take(
        self, store: Clips, pictures: Pictures, index: Tensor, start: int, count: int, every: int,
        generator: torch.Generator, strength_B: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """(x0 (B, T, C, h, w), object weights (B, T, h, w), picture, embedding, numbers)."""
        chosen = slice(start, start + count * every, every)
        place = index.to(store.latents.device)
        x0 = store.latents[place][:, chosen].to(self.device).float()
        weight = 1 + self.object_weight * store.weight[place][:, chosen].to(self.device)
        embedding, picture = self.pictures(pictures(index, start), strength_B, generator)
        moved = [motion_of(latents) / every for latents in x0.cpu()] if count > 1 else self.motion[index].tolist()
        bucket = torch.tensor([self.buckets(motion) for motion in moved])
        fps = torch.full((len(index),), self.fps / every - 1)
        return x0, weight.float(), picture, embedding, torch.stack([fps, bucket, strength_B], 1)

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        wanted = self.lengths[step % len(self.lengths)] if progress < 0.6 else self.num_frames
        every = 2 if self.slow and step % SLOW_EVERY == SLOW_EVERY - 1 else 1
        count = min(wanted, self.store.num_frames // every)
        batch = batch_limit(self.batch_size * min(MOST, self.num_frames // wanted), self.store.latents)
        index = self.use[torch.randint(len(self.use), (batch,), generator=generator)]
        start = int(torch.randint(self.store.num_frames - count * every + 1, (), generator=generator))
        strength = AUGMENT.draw(batch, generator)
        x0, weight, picture, embedding, numbers = self.take(
            self.store, self.pictures_of, index, start, count, every, generator, strength
        )
        given = (torch.rand(batch, generator=generator) >= self.without).to(picture)
        picture, embedding = picture * given.view(-1, 1, 1, 1), embedding * given.view(-1, 1, 1)
        seen, c_noise, target = mix(x0, noise_like(x0, generator), self.levels.draw(batch, generator))
        predicted = self.predict(seen, c_noise, picture, embedding, numbers)
        weight[:, 0] *= FIRST
        self.samples += len(index) * processes.count()
        return weighted_error(predicted.transpose(1, 2), target.transpose(1, 2), weight, self.still), {}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Return held-out errors with fixed noise at a few noise levels, with and without the image."""
        index = torch.arange(min(16, len(self.held_out)))
        generator = torch.Generator().manual_seed(1)
        strength = torch.full((len(index),), 0.02)
        x0, weight, picture, embedding, numbers = self.take(
            self.held_out, self.held_out_pictures, index, 0, self.num_frames, 1, generator, strength
        )
        noise = torch.randn(x0.shape, generator=generator).to(x0)
        found: dict[str, Any] = {}
        for sigma in HELD_OUT_SIGMAS:
            seen, c_noise, target = mix(x0, noise, torch.full((len(index),), sigma))
            for name, share in (("", 1.0), ("_without", 0.0)):
                out = self.predict(seen, c_noise, share * picture, share * embedding, numbers)
                error = weighted_error(out.transpose(1, 2), target.transpose(1, 2), weight)
                found[f"error_{sigma:g}{name}"] = round(float(error), 4)
        return found | self.judge(step)
