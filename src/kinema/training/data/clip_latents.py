"""Encode whole clips with a CogVideoX autoencoder into the shards of frame_latents.py.

latents are [n, T, C, h, w], as CogVideoX's transformer takes them, scaled; weight is the share of object pixels in
each latent cell [n, T, h, w]; seed [n].
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
from . import cogvideox_codec
from .parallel_vae import to_network
from .store import ClipStore

SHARD = 128
"""Clips in a file; small, so that a training can begin while others are encoded."""

Take = Callable[[list[int]], tuple[Tensor, Tensor]]
"""Indices of clips to uint8 frames (B, F, H, W, 3) and masks (B, F, H, W)."""


@torch.no_grad()
def encode_clips(vae: Any, frames_BFHWC: Tensor, device: str = "cpu", bf16: bool = False) -> Tensor:
    """Encode uint8 clips to scaled mean latents (B, T, C, h, w), float32. bf16: compute in bfloat16."""
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
        mean, _ = cogvideox_codec.encode(vae, to_network(frames_BFHWC).to(device))
    return (mean.float() * vae.config.scaling_factor).transpose(1, 2)


@torch.no_grad()
def write_clip_latents(
    vae: Any, store: ClipStore, folder: Path, device: str = "cpu", *, limit: int | None = None, bf16: bool = False,
    take: Take | None = None, report: Callable[[int, int], object] = lambda done, total: None,
) -> None:  # fmt: skip
    """Encode the clips of a store, or its first `limit`. Existing shards are kept; several processes share the work.
    take: what to encode for some clips, by default themselves. report: callback (done, total) in clips."""
    most = len(store) if limit is None else min(limit, len(store))
    folder.mkdir(parents=True, exist_ok=True)
    at_once = 4 if torch.device(device).type == "cpu" else 64
    for number, first in enumerate(range(0, most, SHARD)):
        path = folder / f"{number:05d}.pt"
        members = list(range(first, min(first + SHARD, most)))
        if number % processes.count() != processes.rank():
            continue
        if path.exists() and len(checkpoints.read(path)["seed"]) >= len(members):
            continue
        latents, weights = [], []
        for start in range(0, len(members), at_once):
            frames_BFHWC, mask_BFHW = (take or store.take)(members[start : start + at_once])
            z = encode_clips(vae, frames_BFHWC, device, bf16)
            latents.append(z.half().cpu())
            cells = F.adaptive_avg_pool3d(mask_BFHW.float()[:, None], (z.shape[1], *z.shape[-2:]))[:, 0]
            weights.append(cells.half())
            report(first + start + len(frames_BFHWC), most)
        seeds = torch.tensor([store.seed(index) for index in members])
        with whole(path) as beside:
            torch.save({"latents": torch.cat(latents), "weight": torch.cat(weights), "seed": seeds}, beside)
    processes.wait()
