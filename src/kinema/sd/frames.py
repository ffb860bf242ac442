"""Encode and decode frames with an image VAE (AutoencoderKL), a few at a time. Latents are scaled for the denoiser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

AT_ONCE = 4


def space_factor(vae: Any) -> int:
    """Pixels per latent, in height and width."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def encode(vae: Any, pixels_BCFHW: torch.Tensor) -> torch.Tensor:
    """Encode pixels in [-1, 1], (1, 3, F, H, W), to latents (1, C, F, h, w), float32. Uses the mode of the posterior,
    so that the same clip gives the same latents."""
    frames_NCHW = pixels_BCFHW[0].transpose(0, 1)
    parameter = next(vae.parameters())
    found = [
        vae.encode(part.to(parameter.device, parameter.dtype)).latent_dist.mode() for part in frames_NCHW.split(AT_ONCE)
    ]
    return (torch.cat(found).float() * vae.config.scaling_factor).transpose(0, 1)[None]


def decode(vae: Any, latents_BCFHW: torch.Tensor, at_once: int = AT_ONCE) -> Iterator[torch.Tensor]:
    """Decode latents (1, C, F, h, w) to pixels in [-1, 1], (n, 3, H, W), `at_once` frames at a time."""
    parameter = next(vae.parameters())
    z_NCHW = latents_BCFHW[0].transpose(0, 1) / vae.config.scaling_factor
    for part in z_NCHW.split(at_once):
        yield vae.decode(part.to(parameter.device, parameter.dtype)).sample
