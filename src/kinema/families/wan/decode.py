"""Pixels to latents and back, for AutoencoderKLWan. Latents at this border are normalised: (z - mean) / std."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

SLICE_PIXELS = 64 * 64 * 16
"""Pixels of a slice in one of its frames, times its latent frames."""


def _mean_std(vae: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (1, vae.config.z_dim, 1, 1, 1)
    return (
        torch.tensor(vae.config.latents_mean, device=device).view(shape),
        torch.tensor(vae.config.latents_std, device=device).view(shape),
    )


def encode(vae: Any, x_BCFHW: torch.Tensor) -> torch.Tensor:
    """Pixels in [-1, 1], (1, 3, F, H, W) with F = 4n+1, to normalised latents (1, z, T, H/8, W/8), float32.

    The mode of the posterior is taken, as the published pipelines do. The library walks in steps of four frames;
    the causal convolutions give the same for any multiple of four, and larger steps suit small pictures better.
    """
    from diffusers.models.autoencoders.autoencoder_kl_wan import patchify

    parameter = next(vae.parameters())
    x = x_BCFHW.to(parameter.device, parameter.dtype)
    group = 4 * _slice_frames(x.shape[3] * x.shape[4])
    if vae.config.patch_size is not None:
        x = patchify(x, patch_size=vae.config.patch_size)
    memory: list[Any] = [None] * vae._cached_conv_counts["encoder"]
    pieces = [x[:, :, :1], *x[:, :, 1:].split(group, dim=2)] if x.shape[2] > 1 else [x]
    moments = torch.cat([vae.encoder(piece, feat_cache=memory, feat_idx=[0]) for piece in pieces], dim=2)
    z = vae.quant_conv(moments).chunk(2, dim=1)[0].float()
    mean, std = _mean_std(vae, z.device)
    return (z - mean) / std


def decode(vae: Any, z_BCTHW: torch.Tensor) -> Iterator[torch.Tensor]:
    """Normalised latents (1, z, T, H, W) to pixels in [-1, 1], slice after slice, each (1, 3, F, H*8, W*8): the first
    frame alone, then four frames for each latent frame of a slice. The concatenation equals the library's decode;
    memory does not grow with T because the causal convolutions keep only their last two frames."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

    parameter = next(vae.parameters())
    mean, std = _mean_std(vae, z_BCTHW.device)
    with torch.no_grad():
        z = vae.post_quant_conv((z_BCTHW.float() * std + mean).to(parameter.dtype))
    memory: list[Any] = [None] * vae._cached_conv_counts["decoder"]
    group = _slice_frames(64 * z.shape[3] * z.shape[4])
    pieces = [z[:, :, :1], *z[:, :, 1:].split(group, dim=2)] if z.shape[2] > 1 else [z]
    for index, piece in enumerate(pieces):
        with torch.no_grad():
            x = vae.decoder(piece, feat_cache=memory, feat_idx=[0], first_chunk=index == 0)
            if vae.config.patch_size is not None:
                x = unpatchify(x, patch_size=vae.config.patch_size)
            x = x.clamp(-1.0, 1.0)
        yield x


def _slice_frames(pixels: int) -> int:
    """Latent frames that are coded together: one for real sizes, up to sixteen for small pictures."""
    return max(1, min(16, SLICE_PIXELS // pixels))
