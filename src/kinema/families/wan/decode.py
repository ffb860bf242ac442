"""Encode pixels to latents and decode latents to pixels with AutoencoderKLWan. Latents are normalised:
(z - mean) / std.

The pixels and frames per latent are read from the VAE's configuration, not derived from its levels: with patches, these
differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .tiny_decoder import TinyDecoder

TINY_PIXELS = 4_000_000
"""Pixels that the tiny decoder decodes at once: one call is faster than many."""


def space_factor(vae: Any) -> int:
    """Pixels per latent, in height and width."""
    return int(vae.config.scale_factor_spatial)


def time_factor(vae: Any) -> int:
    """Frames per latent frame, except the first, which is one frame."""
    return int(vae.config.scale_factor_temporal)


def latent_frames(vae: Any, num_frames: int) -> int:
    """The number of latent frames of a clip of 4n + 1 frames."""
    return (num_frames - 1) // time_factor(vae) + 1


def mean_std(vae: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean and the standard deviation of the latents, each (1, z, 1, 1, 1)."""
    shape = (1, vae.config.z_dim, 1, 1, 1)
    return (
        torch.tensor(vae.config.latents_mean, device=device).view(shape),
        torch.tensor(vae.config.latents_std, device=device).view(shape),
    )


def encode(vae: Any, x_BCFHW: torch.Tensor) -> torch.Tensor:
    """Encode pixels in [-1, 1], (1, 3, F, H, W) with F = 4n+1, to normalised latents (1, z, T, H/8, W/8), float32.

    Uses the mode of the posterior, as the published pipelines do.
    """
    parameter = next(vae.parameters())
    z = vae.encode(x_BCFHW.to(parameter.device, parameter.dtype)).latent_dist.mode().float()
    mean, std = mean_std(vae, z.device)
    return (z - mean) / std


def decode(vae: Any, z_BCTHW: torch.Tensor) -> Iterator[torch.Tensor]:
    """Decode normalised latents (1, z, T, H, W) to pixels in [-1, 1], one latent frame at a time: the first yields one
    frame, each later one four, shape (1, 3, F, H*8, W*8). The concatenation equals the library's decode. Memory does
    not grow with T, because the causal convolutions store only their last two frames."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

    parameter = next(vae.parameters())
    mean, std = mean_std(vae, z_BCTHW.device)
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


def decode_tiny(decoder: TinyDecoder, z_BCTHW: torch.Tensor) -> Iterator[torch.Tensor]:
    """Decode normalised latents to pixels in [-1, 1] with the tiny decoder, as many latent frames at a time as
    TINY_PIXELS allows. The decoder's memory makes the result equal to decoding all at once."""
    _, _, num_latents, height, width = z_BCTHW.shape
    config = decoder.config
    pixels = config.time_factor * height * width * config.space_factor**2
    at_once = max(1, TINY_PIXELS // pixels)
    memory = None
    for first in range(0, num_latents, at_once):
        with torch.no_grad():
            x, memory = decoder(z_BCTHW[:, :, first : first + at_once].float(), memory)
        yield x.clamp(-1.0, 1.0)
