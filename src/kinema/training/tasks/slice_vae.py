"""Train EasyAnimate's slice autoencoder (arXiv 2405.18991): first on single frames, then on slices in two stages, whole
and with a frozen encoder. The loss is that of the Wan autoencoder (vae.py).

Shapes: B batch, C channels, F frames, T latent frames, H W.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..core.frozen import Frozen
from ..data import cogvideox_codec
from ..data.parallel_vae import to_network
from ..data.store import ClipStore
from .vae import LATENT_NOISE, VaeTask, edge_error, pixel_error

Phase = Literal["images", "slices", "decoder"]
GROUPS: dict[Phase, tuple[tuple[int, int], ...]] = {
    "images": ((1, 28),), "slices": ((17, 3), (9, 6), (1, 28), (17, 3)), "decoder": ((17, 3),),
}  # fmt: skip
"""(frames, clips) of successive steps. The last stage needs several slices, since slices share features there."""
LEAST_LOGVAR = -5.0
APART = 0.3
"""Initial size of the latents of neighbours in the decoder's first convolution, relative to the frame's own."""


def initialize(vae: Any, generator: torch.Generator) -> None:
    """Initialize with fan-in normal weights, small second residual convolutions, averages over time on the way down and
    copies on the way up, and a small variance (unit noise would drown the small means of an untrained encoder)."""
    for name, module in vae.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        gain = 0.3 if name.endswith("conv2") else 0.1 if name.endswith("time") else 1.0
        gain = 1.6 if name.endswith("conv1") else gain
        weight = torch.randn(module.weight.shape, generator=generator) * gain / module.weight[0].numel() ** 0.5
        module.weight.data.copy_(weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
    for down in vae.encoder.downs:
        if down.time is not None:
            eye = torch.eye(down.time.out_channels)
            down.time.weight.data.copy_(0.5 * torch.cat([eye, eye], 1)[:, :, None, None])
    for up in vae.decoder.ups:
        if up.time is not None:
            eye = torch.eye(up.time.in_channels)
            up.time.weight.data.copy_(torch.cat([eye, eye], 0)[:, :, None, None])
        up.conv.weight.data.copy_(up.conv.weight.data[::4].repeat_interleave(4, 0))  # the four pixels begin alike
    channels = vae.config.latent_channels
    first = vae.decoder.conv_in.weight.data
    first[:, :channels] *= APART
    first[:, 2 * channels :] *= APART
    first *= (3 / (1 + 2 * APART**2)) ** 0.5
    vae.encoder.conv_out.weight.data[channels:] *= 0.1
    vae.encoder.conv_out.bias.data[channels:] = LEAST_LOGVAR
    vae.decoder.conv_out.weight.data.mul_(0.3)


class SliceVaeTask(VaeTask, Frozen):
    """Reconstruction of the clips of a store; trains `vae` in place. phase: what a step sees; in "decoder" the encoder
    is frozen, latents get a little noise, and differences of neighbouring pixels count."""

    names_for_adam = ("conv_in", "conv_out", "norm")
    codec = cogvideox_codec

    def __init__(self, vae: Any, store: ClipStore, held_out: ClipStore, *, phase: Phase, **settings: Any) -> None:
        super().__init__(vae, store, held_out, **settings)
        self.phase: Phase = phase
        self.groups = GROUPS[phase]
        self.freeze(vae, lambda name: phase != "decoder" or not name.startswith("encoder."))

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if self.phase != "decoder":
            return super().loss(step, progress, generator)
        frames, mask = self.batch(step, generator)
        with torch.no_grad():
            latents, _ = self.encode(self.vae, frames)
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            latents = latents + LATENT_NOISE * latents.square().mean().sqrt() * noise
        error = self.decode(self.vae, latents).float() - frames
        reconstruction, edges = pixel_error(error, mask), edge_error(error)
        psnr = 10 * torch.log10(4 / error.detach().square().mean())
        numbers = {"reconstruction": reconstruction.item(), "edges": edges.item(), "psnr": psnr.item()}
        return reconstruction + edges, numbers

    def evaluate(self, step: int) -> dict[str, Any]:
        found = super().evaluate(step)
        return found | {"seam": measure_seam(self.vae, self.held_out, self.device, self.num_held_out)}


@torch.no_grad()
def measure_seam(vae: Any, store: ClipStore, device: str = "cpu", max_clips: int = 48) -> float:
    """How large the change of the error from frame to frame is where slices meet, relative to that inside slices; 1
    without a seam."""
    across = inside = 0.0
    edges, others = [8], [2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]
    for first in range(0, min(max_clips, len(store)), 8):
        frames = to_network(store.take(list(range(first, min(first + 8, len(store), max_clips))))[0]).to(device)
        mean, _ = cogvideox_codec.encode(vae, frames)
        change = (cogvideox_codec.decode(vae, mean).clamp(-1, 1) - frames).float().diff(dim=2).square().mean((1, 3, 4))
        across += float(change[:, edges].mean(1).sum())  # between frames 8 and 9
        inside += float(change[:, others].mean(1).sum())
    return round((across / max(inside, 1e-12)) ** 0.5, 3)


@torch.no_grad()
def scale_slice_latents(vae: Any, store: ClipStore, device: str = "cpu", num_clips: int = 128) -> list[float]:
    """Give every latent channel the standard deviation 1 without changing a reconstruction: the factors go into the
    weights that write and read latents. Returns the standard deviations before."""
    chunks = []
    for first in range(0, min(num_clips, len(store)), 8):
        frames_BFHWC, _ = store.take(list(range(first, min(first + 8, len(store)))))
        chunks.append(cogvideox_codec.encode(vae, to_network(frames_BFHWC).to(device))[0].float().cpu())
    std = torch.cat(chunks).transpose(0, 1).flatten(1).std(1).clamp(min=1e-4).to(device)
    out = vae.encoder.conv_out
    out.weight[: len(std)] /= std.view(-1, 1, 1, 1)
    out.bias[: len(std)] /= std
    out.bias[len(std) :] -= 2 * std.log()
    vae.decoder.conv_in.weight *= std.repeat(3).view(1, -1, 1, 1)
    return [round(float(value), 4) for value in std]
