"""Augmentations with blur, noise and block artifacts, so that probes trained on renders also read generated clips.

Legend: B images, C = 3 channels, H W pixels; float32 in [0, 1].
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def degrade(x_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Apply blur, downscaling and upscaling, block artifacts, noise and a colour shift, each at random."""
    x = _by_chance(x_BCHW, 0.35, generator, lambda part: soften(part, _uniform(generator, 0.5, 2.2)))
    x = _by_chance(x, 0.3, generator, lambda part: shrink(part, int(_uniform(generator, 20, 52))))
    x = _by_chance(x, 0.25, generator, lambda part: block(part, _uniform(generator, 0.05, 0.25)))
    x = _by_chance(x, 0.35, generator, lambda part: part + _noise(part, generator, 0.06, 1))
    x = _by_chance(x, 0.25, generator, lambda part: part + _noise(part, generator, 0.09, 4))
    gain = 1.0 + 0.05 * torch.randn(len(x), 3, 1, 1, generator=generator)
    offset = 0.02 * torch.randn(len(x), 3, 1, 1, generator=generator)
    return (x * gain + offset).clamp(0.0, 1.0)


def soften(x_BCHW: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur."""
    radius = max(1, math.ceil(2.5 * sigma_px))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / sigma_px) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    x = F.pad(x_BCHW, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, kernel[:, :, None], groups=3), kernel[:, :, :, None], groups=3)


def shrink(x_BCHW: Tensor, side_px: int) -> Tensor:
    """Downscale to `side_px` x `side_px` and upscale again."""
    small = F.interpolate(x_BCHW, size=(side_px, side_px), mode="area")
    return F.interpolate(small, size=x_BCHW.shape[-2:], mode="bilinear", align_corners=False)


def block(x_BCHW: Tensor, coarseness: float) -> Tensor:
    """Compress blocks of 8 x 8 pixels as JPEG does: round their cosine coefficients to multiples of `coarseness` that
    grow with frequency. Sides must be multiples of 8."""
    k, n = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    basis = torch.cos(math.pi * (n + 0.5) * k / 8) * math.sqrt(2 / 8)
    basis[0] = math.sqrt(1 / 8)
    batch, channels, height, width = x_BCHW.shape
    cells = x_BCHW.reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    steps = coarseness * (1.0 + 0.5 * (k + n))
    coefficients = torch.round(basis @ cells @ basis.T / steps) * steps
    return (basis.T @ coefficients @ basis).transpose(3, 4).reshape(x_BCHW.shape)


def _noise(x_BCHW: Tensor, generator: torch.Generator, most: float, grain_px: int) -> Tensor:
    batch, channels, height, width = x_BCHW.shape
    noise = torch.randn(batch, channels, height // grain_px, width // grain_px, generator=generator)
    noise = noise * most * torch.rand(batch, 1, 1, 1, generator=generator)
    return noise if grain_px == 1 else F.interpolate(noise, size=(height, width), mode="bilinear", align_corners=False)


def _by_chance(x_BCHW: Tensor, odds: float, generator: torch.Generator, change) -> Tensor:
    """Change two random subsets of the images, each with its own parameters."""
    out = x_BCHW.clone()
    part_B = torch.rand(len(x_BCHW), generator=generator)
    for low, high in ((0.0, odds / 2), (odds / 2, odds)):
        chosen = (part_B >= low) & (part_B < high)
        if bool(chosen.any()):
            out[chosen] = change(x_BCHW[chosen])
    return out


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def degraded(frames_FHWC: np.ndarray) -> np.ndarray:
    """Degrade uint8 frames with fixed blur, block artifacts and noise, like a clip of a weak model."""
    generator = torch.Generator().manual_seed(0)
    x = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).permute(0, 3, 1, 2).float() / 255.0
    small = (x.shape[-2] // 8 * 8, x.shape[-1] // 8 * 8)
    x = block(F.interpolate(soften(x, 1.3), size=small, mode="nearest"), 0.1)
    x = x + _noise(x, generator, 0.05, 1)
    x = F.interpolate(x.clamp(0.0, 1.0), size=frames_FHWC.shape[1:3], mode="nearest")
    return (x * 255.0).round().byte().permute(0, 2, 3, 1).numpy()
