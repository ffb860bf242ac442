"""Cached latents of single frames, for image models and temporal layers.

A shard is a file of float16 latents [n, F, C, h, w], scaled for the denoiser, the share of object pixels in each latent
cell [n, F, h, w], and the seeds of the scenes [n].
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.whole import whole
from ..core import checkpoints, processes
from .store import SHARD, ClipStore


@torch.no_grad()
def write_frame_latents(
    vae: Any, store: ClipStore, folder: Path, device: str = "cpu", *, limit: int | None = None,
    report: Callable[[int, int], object] = lambda done, total: None,
) -> None:  # fmt: skip
    """Encode every frame of a store, or of its first `limit` clips. Existing shards are kept; several processes share
    the work. report: callback (done, total) in clips."""
    most = len(store) if limit is None else min(limit, len(store))
    folder.mkdir(parents=True, exist_ok=True)
    scale = vae.config.scaling_factor
    at_once = 1 if torch.device(device).type == "cpu" else 16  # clips
    for number, first in enumerate(range(0, most, SHARD)):
        path = folder / f"{number:05d}.pt"
        members = list(range(first, min(first + SHARD, most)))
        if number % processes.count() != processes.rank() or _holds(path, len(members)):
            continue
        latents, weights = [], []
        for start in range(0, len(members), at_once):
            frames, mask = store.take(members[start : start + at_once])
            pixels = to_network(frames.flatten(0, 1)).to(device, memory_format=torch.channels_last)
            z = vae.encode(pixels).latent_dist.mean.float() * scale
            latents.append(z.half().cpu().contiguous().unflatten(0, mask.shape[:2]))
            cells = F.adaptive_avg_pool2d(mask.flatten(0, 1).float()[:, None], z.shape[-2:])[:, 0]
            weights.append(cells.half().unflatten(0, mask.shape[:2]))
            report(first + start + len(frames), most)
        seeds = torch.tensor([store.seed(index) for index in members])
        with whole(path) as beside:
            torch.save({"latents": torch.cat(latents), "weight": torch.cat(weights), "seed": seeds}, beside)
    processes.wait()


def _holds(path: Path, count: int) -> bool:
    """Does the file hold a shard of at least so many clips? A shorter run leaves a smaller last shard, which must be
    written again, since clips are found by position."""
    return path.exists() and len(checkpoints.read(path)["seed"]) >= count


class FrameLatents:
    """All shards of folders, in memory: latents (N, F, C, h, w), weight (N, F, h, w), seed (N,)."""

    def __init__(self, *folders: Path, device: str = "cpu") -> None:
        shards = []
        for folder in folders:
            found = [checkpoints.read(path) for path in sorted(folder.glob("*.pt"))]
            if not found:
                raise FileNotFoundError(f"No latents in {folder}.")
            shards += found
        self.latents, self.weight, self.seed = (
            torch.cat([shard[name] for shard in shards]).to(device) for name in ("latents", "weight", "seed")
        )

    def __len__(self) -> int:
        return len(self.seed)

    @property
    def num_frames(self) -> int:
        return self.latents.shape[1]

    def frames(self, index: Tensor, when: Tensor) -> tuple[Tensor, Tensor]:
        """(latents (B, C, h, w), weight (B, h, w)) of one frame of each clip."""
        return self.latents[index, when].float(), self.weight[index, when].float()


def to_network(frames_NHWC: Tensor) -> Tensor:
    """Convert uint8 frames to float (N, 3, H, W) in [-1, 1]."""
    return frames_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
