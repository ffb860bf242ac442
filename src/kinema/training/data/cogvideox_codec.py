"""Encode and decode clips with a diffusers AutoencoderKLCogVideoX, in training as in use.

The class works in chunks of eight frames with a cache, and its group norms see one chunk at a time, so training takes
the same chunks. Shapes: B batch, C channels, F pixel frames (8n + 1), T latent frames (2n + 1), H W.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

Cache = Any


def encode(vae: Any, frames_BCFHW: Tensor) -> tuple[Tensor, Tensor]:
    """Encode frames in [-1, 1] to mean and log-variance, each (B, C, T, H/8, W/8), not scaled."""
    posterior = vae.encode(frames_BCFHW).latent_dist
    return posterior.mean, posterior.logvar


def decode(vae: Any, z_BCTHW: Tensor) -> Tensor:
    """Decode latents (not scaled) to frames (B, 3, F, H, W), not clamped."""
    return vae.decode(z_BCTHW).sample


def make_spatial(*modules: nn.Module) -> None:
    """Restrict the causal 3x3x3 convolutions of these modules to one frame: their earlier taps become and stay zero.

    At full resolution, temporal taps cost most and help least. The weights still fit diffusers' class.
    """
    for module in modules:
        layer: Any
        for layer in module.modules():
            if getattr(layer, "time_kernel_size", 1) == 3:
                layer.conv.weight.data[:, :, :2] = 0.0
                layer.forward = _OneFrame(layer.conv)


class _OneFrame:
    """The forward of a causal convolution whose earlier taps are zero."""

    def __init__(self, conv: nn.Conv3d):
        self.conv = conv

    def __call__(self, inputs: Tensor, conv_cache: Cache = None) -> tuple[Tensor, Cache]:
        b, c, t, h, w = inputs.shape
        x = inputs.transpose(1, 2).reshape(b * t, c, h, w)
        y = F.conv2d(x, self.conv.weight[:, :, -1], self.conv.bias, padding=1)
        return y.unflatten(0, (b, t)).transpose(1, 2), inputs[:, :, -2:]
