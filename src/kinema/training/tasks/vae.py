"""Train an AutoencoderKLWan on short clips: initialization, loss and measurements.

Loss: weighted L1 + 3 * weighted squared error (weight 1 + 3 inside objects), a small KL term, and a level term that
equalizes the root mean square of latent frames (a causal encoder otherwise leaves frame 0 weak, since most of its taps
see padding there).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..data import parallel_vae
from ..data.parallel_vae import to_network
from ..data.store import ClipStore

GROUPS = ((1, 12), (5, 6), (9, 4), (5, 6), (1, 12), (17, 2), (9, 4), (5, 6))
"""(frames, clips) of successive steps, with about the same number of frames each."""
Codec = Any
"""A module with the functions encode and decode: data/parallel_vae.py, data/cogvideox_codec.py."""
EDGES, LATENT_NOISE = 1.0, 0.08
"""Weight of the edge term; noise on the latents, relative to their root mean square."""


def initialize(vae: nn.Module, generator: torch.Generator) -> None:
    """Initialize with fan-in normal weights, small second residual convolutions, temporal copies or averages, and a
    small variance.

    The two earlier temporal taps of a causal convolution start at 0.3 of the last, so that single images and first
    frames have latents of the same size as later frames.
    """
    for name, module in vae.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            fan_in = module.weight[0].numel()
            gain = 0.3 if name.endswith("conv2") else 1.0 if name.endswith(("conv_shortcut", "conv_in")) else 1.6
            weight = torch.randn(module.weight.shape, generator=generator) * gain / fan_in**0.5
            if module.weight.ndim == 5 and module.weight.shape[2] == 3:
                weight[:, :, :2] *= 0.3
                weight *= (3 / 1.18) ** 0.5
            module.weight.data.copy_(weight)
            nn.init.zeros_(module.bias)
    for block in list(vae.encoder.down_blocks) + list(vae.decoder.up_blocks):
        layer = getattr(block, "downsampler", None) or getattr(block, "upsampler", None)
        if layer is None or not hasattr(layer, "time_conv"):
            continue
        weight = layer.time_conv.weight.data.zero_()
        eye = torch.eye(weight.shape[1])
        if layer.mode == "downsample3d":
            weight[:, :, 1, 0, 0] = weight[:, :, 2, 0, 0] = 0.5 * eye
        else:
            weight[:, :, 2, 0, 0] = torch.cat([eye, eye])
    for attention in [m for m in vae.modules() if hasattr(m, "to_qkv")]:
        attention.proj.weight.data.mul_(0.1)
    z = vae.config.z_dim
    vae.quant_conv.weight.data.copy_(torch.eye(2 * z)[:, :, None, None, None])
    vae.quant_conv.weight.data[z:] *= 0.1
    vae.quant_conv.bias.data[z:] = -5.0
    vae.post_quant_conv.weight.data.copy_(torch.eye(z)[:, :, None, None, None])
    vae.decoder.conv_out.weight.data.mul_(0.3)


class VaeTask:
    """Reconstruction of the clips of a store; trains `vae` in place.

    kl: weight of the mean KL divergence per latent value. permute: share of batches with shuffled colour channels.
    edges: weight of the absolute error of differences between neighbouring pixels. anchor: a trained autoencoder to
    whose latents the new ones stay close; anchor_weight: weight of their mean squared distance, relative to the
    anchor's variance by channel.
    """

    names_for_adam: tuple[str, ...] = ("conv_in", "conv_out", "quant_conv", "time_conv", "gamma", "to_qkv")
    groups: tuple[tuple[int, int], ...] = GROUPS
    codec: Codec = parallel_vae

    def __init__(
        self, vae: nn.Module, store: ClipStore, held_out: ClipStore, *, device: str = "cpu", batch_scale: int = 1,
        kl: float = 1e-4, permute: float = 0.3, num_held_out: int = 48, edges: float = 0.0,
        anchor: nn.Module | None = None, anchor_weight: float = 0.05,
    ):  # fmt: skip
        self.modules = {"vae": vae.to(device)}
        self.vae, self.store, self.held_out, self.device = vae, store, held_out, device
        self.batch_scale, self.kl, self.permute, self.num_held_out = batch_scale, kl, permute, num_held_out
        self.edges, self.anchor_weight = edges, anchor_weight
        self.anchor = None if anchor is None else anchor.to(device).requires_grad_(False)
        for module in vae.modules():
            if isinstance(module, nn.Conv3d):
                module.weight.data = module.weight.data.to(memory_format=torch.channels_last_3d)
            elif isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.to(memory_format=torch.channels_last)
        self.encode, self.decode = self.codec.encode, self.codec.decode

    def batch(self, step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw frames (B, 3, F, H, W) in [-1, 1] and object masks (B, 1, F, H, W) of random windows."""
        if step % 64 == 0:
            self.store.refresh()
        num_frames, num_clips = self.groups[step % len(self.groups)]
        num_frames = min(num_frames, self.store.num_frames)
        index = torch.randint(len(self.store), (num_clips * self.batch_scale,), generator=generator)
        start = int(torch.randint(self.store.num_frames - num_frames + 1, (1,), generator=generator))
        frames_BFHWC, mask_BFHW = self.store.take(index.tolist(), start, start + num_frames)
        frames = to_network(frames_BFHWC)
        if torch.rand((), generator=generator) < self.permute:
            frames = frames[:, torch.randperm(3, generator=generator)]
        if torch.rand((), generator=generator) < 0.5:
            frames, mask_BFHW = frames.flip(-1), mask_BFHW.flip(-1)
        frames = frames.to(self.device).contiguous(memory_format=torch.channels_last_3d)
        return frames, mask_BFHW[:, None].float().to(self.device)

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, mask = self.batch(step, generator)
        mean, logvar = self.encode(self.vae, frames)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        out = self.decode(self.vae, mean + torch.exp(0.5 * logvar) * noise).float()
        error = out - frames
        reconstruction = pixel_error(error, mask)
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        size_T = (mean.float().square().mean(dim=(0, 1, 3, 4)) + 1e-6).log()
        level = (size_T - size_T.mean()).square().mean()
        loss = reconstruction + self.kl * kl + 2e-2 * level
        psnr = 10 * torch.log10(4 / error.detach().square().mean())
        numbers = {
            "reconstruction": reconstruction.item(),
            "kl": kl.item(),
            "level": level.item(),
            "psnr": psnr.item(),
        }
        if self.edges:
            edges = edge_error(error)
            loss, numbers["edges"] = loss + self.edges * edges, edges.item()
        if self.anchor is not None:
            with torch.no_grad():
                old, _ = self.encode(self.anchor, frames)
            drift = drift_of(self.anchor, mean, old)
            loss, numbers["drift"] = loss + self.anchor_weight * drift, drift.item()
        return loss, numbers

    def evaluate(self, step: int) -> dict[str, Any]:
        found = measure_vae(self.vae, self.held_out, self.device, self.num_held_out, codec=self.codec)
        if self.anchor is not None:
            found |= measure_drift(self.vae, self.anchor, self.held_out, self.device, self.num_held_out)
        return found


class DecoderTask(VaeTask):
    """`VaeTask` with a frozen encoder, so that existing latents stay valid.

    Improves the decoder of a trained model. Differences of neighbouring pixels are matched too (edges), and latents get
    a little noise, since sampled latents are never quite clean.
    """

    def __init__(self, vae: torch.nn.Module, *stores: Any, **settings: Any):
        super().__init__(vae, *stores, **settings)
        for module in (vae.encoder, vae.quant_conv):
            module.requires_grad_(False)

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, mask = self.batch(step, generator)
        with torch.no_grad():
            latents, _ = self.encode(self.vae, frames)
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            latents = latents + LATENT_NOISE * latents.square().mean().sqrt() * noise
        out = self.decode(self.vae, latents).float()
        error = out - frames
        reconstruction = pixel_error(error, mask)
        edges = edge_error(error)
        psnr = 10 * torch.log10(4 / error.detach().square().mean())
        numbers = {"reconstruction": reconstruction.item(), "edges": edges.item(), "psnr": psnr.item()}
        return reconstruction + EDGES * edges, numbers


def pixel_error(error: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute + 3 * squared error, in any layout. mask: 1 inside objects, whose pixels have four times the
    weight."""
    weight = 1 + 3 * mask
    weight = weight / weight.mean()
    return (weight * (error.abs() + 3 * error.square())).mean()


def edge_error(error_BCFHW: Tensor) -> Tensor:
    """Mean absolute difference between errors of neighbouring pixels, summed over rows and columns."""
    return error_BCFHW.diff(dim=-1).abs().mean() + error_BCFHW.diff(dim=-2).abs().mean()


def drift_of(anchor: nn.Module, new_BCTHW: Tensor, old_BCTHW: Tensor) -> Tensor:
    """Mean squared distance of latents, relative to the anchor's variance by channel."""
    std = torch.tensor(anchor.config.latents_std).view(1, -1, 1, 1, 1).to(new_BCTHW.device)
    return ((new_BCTHW.float() - old_BCTHW.float()) / std).square().mean()


@torch.no_grad()
def measure_vae(
    vae: nn.Module, store: ClipStore, device: str = "cpu", max_clips: int = 48, encoder: nn.Module | None = None,
    codec: Codec = parallel_vae,
) -> dict[str, Any]:  # fmt: skip
    """Measure PSNR in dB over whole frames and inside objects, on whole clips with mean latents, and the root mean
    square of latents by frame.

    Squared errors are pooled over all clips. encoder: another autoencoder, used to encode.
    """
    square, inside, num_inside, count, sizes = 0.0, 0.0, 0.0, 0, []
    for first in range(0, min(max_clips, len(store)), 8):
        frames_BFHWC, mask_BFHW = store.take(list(range(first, min(first + 8, len(store), max_clips))))
        frames = to_network(frames_BFHWC).to(device)
        mean, _ = codec.encode(encoder or vae, frames)
        error = (codec.decode(vae, mean).clamp(-1, 1) - frames).float().square().mean(dim=1)
        mask = mask_BFHW.to(device)
        square += float(error.sum())
        count += error.numel()
        inside += float((error * mask).sum())
        num_inside += float(mask.sum())
        sizes.append(mean.float().square().mean(dim=(0, 1, 3, 4)).sqrt())
    level = torch.stack(sizes).mean(0)
    db = 10 * torch.log10(4 * torch.tensor([count / square, num_inside / max(inside, 1e-9)]))
    return {
        "psnr_db": round(float(db[0]), 2),
        "psnr_objects_db": round(float(db[1]), 2),
        "latent_rms_by_frame": [round(float(value), 3) for value in level],
    }


@torch.no_grad()
def measure_drift(
    vae: nn.Module, anchor: nn.Module, store: ClipStore, device: str = "cpu", max_clips: int = 48
) -> dict[str, Any]:
    """Measure the distance of latents from the anchor's, relative to its variance, and the PSNR in dB of the anchor's
    latents through this decoder, as seen by a transformer trained on them."""
    drift, clips = 0.0, min(max_clips, len(store))
    for first in range(0, clips, 8):
        frames_BFHWC, _ = store.take(list(range(first, min(first + 8, clips))))
        frames = to_network(frames_BFHWC).to(device)
        before, after = (parallel_vae.encode(each, frames)[0] for each in (anchor, vae))
        drift += len(frames) * float(drift_of(anchor, after, before))
    old = measure_vae(vae, store, device, max_clips, encoder=anchor)
    return {
        "drift": round(drift / clips, 4),
        "old_latents_db": old["psnr_db"],
        "old_latents_objects_db": old["psnr_objects_db"],
    }


@torch.no_grad()
def set_latent_statistics(vae: nn.Module, store: ClipStore, device: str = "cpu", num_clips: int = 256) -> None:
    """Measure mean and standard deviation of each latent channel and write them into the VAE's config."""
    chunks = []
    for first in range(0, min(num_clips, len(store)), 16):
        frames_BFHWC, _ = store.take(list(range(first, min(first + 16, len(store)))))
        mean, _ = parallel_vae.encode(vae, to_network(frames_BFHWC).to(device))
        chunks.append(mean.float().cpu())
    latents = torch.cat(chunks).transpose(0, 1).flatten(1)
    vae.register_to_config(
        latents_mean=[round(float(value), 5) for value in latents.mean(1)],
        latents_std=[round(float(value), 5) for value in latents.std(1)],
    )
