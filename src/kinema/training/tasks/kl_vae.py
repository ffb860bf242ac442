"""Train an AutoencoderKL (Stable Diffusion) on frames of Toyland clips.

The loss is that of the Wan autoencoder (vae.py): weighted L1 + 3 * squared error, with four times the weight inside
objects, and a small KL term. There is no discriminator, since Toyland has no fine texture.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..data.frame_latents import to_network
from ..data.store import ClipStore
from .vae import pixel_error

CLIPS, FRAMES_EACH = 8, 2


def initialize(vae: Any, generator: torch.Generator) -> None:
    """Initialize with fan-in normal weights, small second residual convolutions and a small variance (unit noise would
    drown the small means of an untrained encoder)."""
    for name, module in vae.named_modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            gain = 0.3 if name.endswith("conv2") else 1.0 if name.endswith(("conv_shortcut", "conv_in")) else 1.6
            fan_in = module.weight[0].numel()
            module.weight.data.copy_(torch.randn(module.weight.shape, generator=generator) * gain / fan_in**0.5)
            module.bias.data.zero_()
    channels = vae.config.latent_channels
    vae.quant_conv.weight.data.copy_(torch.eye(2 * channels)[:, :, None, None])
    vae.quant_conv.weight.data[channels:] *= 0.1
    vae.quant_conv.bias.data[channels:] = -5.0
    vae.post_quant_conv.weight.data.copy_(torch.eye(channels)[:, :, None, None])
    vae.decoder.conv_out.weight.data.mul_(0.3)


class KlVaeTask:
    """Reconstruction of frames; trains `vae` in place. kl: weight of the mean KL divergence per latent value. permute:
    share of batches with shuffled colour channels."""

    names_for_adam = ("conv_in", "conv_out", "quant_conv")

    def __init__(
        self, vae: Any, store: ClipStore, held_out: ClipStore, *, device: str = "cpu", batch_scale: int = 1,
        kl: float = 1e-4, permute: float = 0.3, num_held_out: int = 48,
    ):  # fmt: skip
        self.modules = {"vae": vae.to(device, memory_format=torch.channels_last)}
        self.vae, self.store, self.held_out, self.device = vae, store, held_out, device
        self.batch_scale, self.kl, self.permute, self.num_held_out = batch_scale, kl, permute, num_held_out

    def batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw frames (B, 3, H, W) in [-1, 1] and object masks (B, 1, H, W)."""
        index = torch.randint(len(self.store), (CLIPS * self.batch_scale,), generator=generator).tolist()
        when = torch.randint(self.store.num_frames, (FRAMES_EACH,), generator=generator)
        frames_BFHWC, mask_BFHW = self.store.take(index)
        frames = to_network(frames_BFHWC[:, when].flatten(0, 1))
        mask = mask_BFHW[:, when].flatten(0, 1)[:, None].float()
        if torch.rand((), generator=generator) < self.permute:
            frames = frames[:, torch.randperm(3, generator=generator)]
        if torch.rand((), generator=generator) < 0.5:
            frames, mask = frames.flip(-1), mask.flip(-1)
        return frames.to(self.device, memory_format=torch.channels_last), mask.to(self.device)

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, mask = self.batch(generator)
        posterior = self.vae.encode(frames).latent_dist
        mean, logvar = posterior.mean, posterior.logvar
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        out = self.vae.decode(mean + torch.exp(0.5 * logvar) * noise).sample.float()
        error = out - frames
        reconstruction = pixel_error(error, mask)
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        psnr = 10 * torch.log10(4 / error.detach().square().mean())
        return reconstruction + self.kl * kl, {"kl": kl.item(), "psnr": psnr.item()}

    def evaluate(self, step: int) -> dict[str, Any]:
        return measure(self.vae, self.held_out, self.device, self.num_held_out)


@torch.no_grad()
def measure(vae: Any, store: ClipStore, device: str = "cpu", max_clips: int = 48) -> dict[str, Any]:
    """Measure PSNR in dB over whole frames and inside objects, with mean latents; errors are pooled over all frames."""
    square, count, inside, num_inside = 0.0, 0, 0.0, 0.0
    for index in range(min(max_clips, len(store))):
        frames_BFHWC, mask_BFHW = store.take([index])
        frames = to_network(frames_BFHWC[0]).to(device, memory_format=torch.channels_last)
        again = vae.decode(vae.encode(frames).latent_dist.mean).sample.clamp(-1, 1)
        error = (again - frames).float().square().mean(1)
        mask = mask_BFHW[0].to(device)
        square, count = square + float(error.sum()), count + error.numel()
        inside, num_inside = inside + float((error * mask).sum()), num_inside + float(mask.sum())
    db = 10 * torch.log10(4 * torch.tensor([count / square, num_inside / max(inside, 1e-9)]))
    return {"psnr_db": round(float(db[0]), 2), "psnr_objects_db": round(float(db[1]), 2)}


@torch.no_grad()
def set_scaling_factor(vae: Any, store: ClipStore, device: str = "cpu", num_clips: int = 128) -> None:
    """Set scaling_factor in the autoencoder's config to 1 / standard deviation of the latents, as Stable Diffusion."""
    found = []
    for index in range(min(num_clips, len(store))):
        frames_BFHWC, _ = store.take([index])
        found.append(vae.encode(to_network(frames_BFHWC[0, ::4]).to(device)).latent_dist.mean.float().cpu())
    vae.register_to_config(scaling_factor=round(1 / float(torch.cat(found).std()), 5))
