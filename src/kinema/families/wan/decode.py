"""Pixels to latents and back, for AutoencoderKLWan. Latents at this border are normalised: (z - mean) / std."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def _mean_std(vae: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (1, vae.config.z_dim, 1, 1, 1)
    return (
        torch.tensor(vae.config.latents_mean, device=device).view(shape),
        torch.tensor(vae.config.latents_std, device=device).view(shape),
    )


def encode(vae: Any, x_BCFHW: torch.Tensor) -> torch.Tensor:
    """Pixels in [-1, 1], (1, 3, F, H, W) with F = 4n+1, to normalised latents (1, z, T, H/8, W/8), float32.

    The mode of the posterior is taken, as the published pipelines do.
    """
    parameter = next(vae.parameters())
    z = vae.encode(x_BCFHW.to(parameter.device, parameter.dtype)).latent_dist.mode().float()
    mean, std = _mean_std(vae, z.device)
    return (z - mean) / std


def decode(vae: Any, z_BCTHW: torch.Tensor) -> Iterator[torch.Tensor]:
    """Normalised latents (1, z, T, H, W) to pixels in [-1, 1], one latent frame after the other: the first gives one
    frame, each later one four, shape (1, 3, F, H*8, W*8). The concatenation equals the library's decode; memory does
    not grow with T because the causal convolutions keep only their last two frames."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

    parameter = next(vae.parameters())
    mean, std = _mean_std(vae, z_BCTHW.device)
    with torch.no_grad():
        z = vae.post_quant_conv((z_BCTHW.float() * std + mean).to(parameter.dtype))
    memory: list[Any] = [None] * vae._cached_conv_counts["decoder"]
    for index in range(z.shape[2]):
        with torch.no_grad():
            x = vae.decoder(z[:, :, index : index + 1], feat_cache=memory, feat_idx=[0], first_chunk=index == 0)
            if vae.config.patch_size is not None:
                x = unpatchify(x, patch_size=vae.config.patch_size)
            x = x.clamp(-1.0, 1.0)
        yield x
