"""Flow matching (Lipman et al. 2023; the rectified-flow form of Esser et al. 2024): x_t = (1 - t) x0 + t noise."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_times(batch: int, mean: float, generator: torch.Generator, std: float = 1.1, uniform: float = 0.1) -> Tensor:
    """(B,) times in (0, 1): logit-normal around sigmoid(mean), a share of them uniform. Larger means more noise."""
    normal = torch.sigmoid(torch.randn(batch, generator=generator) * std + mean)
    flat = torch.rand(batch, generator=generator)
    times = torch.where(torch.rand(batch, generator=generator) < uniform, flat, normal)
    return times.clamp(1e-3, 1 - 1e-4)


def mix(x0_BCTHW: Tensor, noise_BCTHW: Tensor, times_B: Tensor) -> tuple[Tensor, Tensor]:
    """(x_t, target): the noisy latents and the velocity noise - x0 that the network must predict."""
    t = times_B.view(-1, 1, 1, 1, 1).to(x0_BCTHW)
    return (1 - t) * x0_BCTHW + t * noise_BCTHW, noise_BCTHW - x0_BCTHW


def weighted_error(predicted_BCTHW: Tensor, target_BCTHW: Tensor, weight_BTHW: Tensor) -> Tensor:
    """Mean squared error with weights per latent cell, which are normalised to mean 1."""
    weight = (weight_BTHW / weight_BTHW.mean())[:, None]
    return (weight * (predicted_BCTHW.float() - target_BCTHW.float()).square()).mean()
