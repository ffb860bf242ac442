"""Train an AutoencoderKLCogVideoX on short clips and on drawn motion, and scale its latents.

The loss is that of the Wan autoencoder (vae.py). Tora (arXiv 2407.21705) encodes motion, drawn as the colours of
optical flow, with the same autoencoder, so some of the clips are drawn motion. Shapes: B batch, C channels, F frames,
H W.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..data import cogvideox_codec
from ..data.parallel_vae import to_network
from ..data.store import ClipStore
from .vae import VaeTask

EARLIER = 0.3
"""Initial size of the two earlier temporal taps, relative to the last."""
LEAST_LOGVAR = -5.0
MOTION = 0.15
"""Share of the batches that are drawn motion."""

Drawer = Callable[[Tensor, torch.Generator], Tensor]
"""(tracks (B, N, F, 2) in px, NaN where unseen; generator) -> drawn motion (B, 3, F, H, W) in [-1, 1]."""


def initialize(vae: Any, generator: torch.Generator) -> None:
    """Initialize with fan-in normal weights, small second residual convolutions, norms that do not depend on the
    latents yet, and a small variance (unit noise would drown the small means of an untrained encoder)."""
    for name, module in vae.named_modules():
        if not isinstance(module, (nn.Conv2d, nn.Conv3d)):
            continue
        gain = 0.3 if "conv2" in name else 1.0 if "shortcut" in name or "conv_in" in name else 1.6
        weight = torch.randn(module.weight.shape, generator=generator) * gain / module.weight[0].numel() ** 0.5
        if weight.ndim == 5 and weight.shape[2] == 3:
            weight[:, :, :2] *= EARLIER
            weight *= (3 / (1 + 2 * EARLIER**2)) ** 0.5
        if "conv_y" in name or "conv_b" in name:
            weight *= 0.1
        module.weight.data.copy_(weight)
        assert module.bias is not None
        module.bias.data.fill_(1.0 if "conv_y" in name else 0.0)
    channels = vae.config.latent_channels
    vae.encoder.conv_out.conv.weight.data[channels:] *= 0.1
    vae.encoder.conv_out.conv.bias.data[channels:] = LEAST_LOGVAR
    vae.decoder.conv_out.conv.weight.data.mul_(0.3)


class CogVideoXVaeTask(VaeTask):
    """Reconstruction of the clips of a store and of drawn motion; trains `vae` in place. draw: draws motion."""

    names_for_adam = ("conv_in", "conv_out", "conv_y", "conv_b", "norm")
    groups = ((9, 4), (1, 12), (9, 4), (17, 2))
    codec = cogvideox_codec

    def __init__(self, vae: Any, store: ClipStore, held_out: ClipStore, draw: Drawer, **settings: Any):
        super().__init__(vae, store, held_out, **settings)
        self.draw = draw
        for module in vae.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                module.weight.data = module.weight.data.contiguous()  # faster in bfloat16 than channels last

    def batch(self, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        if torch.rand((), generator=generator) >= MOTION:
            frames, mask = super().batch(step, generator)
            return frames.contiguous(), mask
        num_frames, count = self.groups[step % len(self.groups)]
        index = torch.randint(len(self.store), (count * self.batch_scale,), generator=generator).tolist()
        start = int(torch.randint(self.store.num_frames - num_frames + 1, (1,), generator=generator))
        tracks = torch.stack([torch.from_numpy(self.store.track(one)) for one in index])
        drawn = self.draw(tracks, generator)[:, :, start : start + num_frames].to(self.device)
        return drawn, (drawn.amin(1, keepdim=True) < 0.5).float()


@torch.no_grad()
def scale_latents(vae: Any, store: ClipStore, device: str = "cpu", num_clips: int = 128) -> list[float]:
    """Give every latent channel the standard deviation 1 / scaling_factor without changing a reconstruction; returns
    the standard deviations before.

    CogVideoX scales all channels with one number, so the factors of the channels go into the weights that write and
    read latents.
    """
    chunks = []
    for first in range(0, min(num_clips, len(store)), 8):
        frames_BFHWC, _ = store.take(list(range(first, min(first + 8, len(store)))))
        chunks.append(cogvideox_codec.encode(vae, to_network(frames_BFHWC).to(device))[0].float().cpu())
    std = torch.cat(chunks).transpose(0, 1).flatten(1).std(1).to(device)
    factor = 1 / (std * vae.config.scaling_factor)
    out = vae.encoder.conv_out.conv
    out.weight[: len(std)] *= factor.view(-1, 1, 1, 1, 1)
    out.bias[: len(std)] *= factor
    out.bias[len(std) :] += 2 * factor.log()
    vae.decoder.conv_in.conv.weight /= factor.view(1, -1, 1, 1, 1)
    for name, module in vae.decoder.named_modules():
        if name.endswith(("conv_y", "conv_b")):
            module.conv.weight /= factor.view(1, -1, 1, 1, 1)
    return [round(float(value), 4) for value in std]
