"""What a network predicts, and what its model's noise levels are: all that a sampler over sigmas needs to know of it.

x = sigma * noise + signal * clean, where signal is 1 - sigma for flow matching and 1 otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .sigma_schedules import SigmaTable

FLOW, V, EPSILON = "flow", "v", "epsilon"
"""What a network predicts: noise - clean, v in Karras' form, or the noise."""


@dataclass(frozen=True)
class SigmaModel:
    """A model as a sampler sees it. prediction: FLOW, V or EPSILON. timestep: what the network takes for a sigma.
    frames_first: its noise is drawn frame by frame (`NoiseInTurn`)."""

    prediction: str
    levels: SigmaTable
    timestep: Callable[[float], float]
    frames_first: bool = False


def signal(prediction: str, sigma: float) -> float:
    """The scale of the clean latents at a noise level."""
    return 1 - sigma if prediction == FLOW else 1.0


def denoised(prediction: str, output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
    """The clean latents that an output predicts for x at a noise level."""
    if prediction == V:
        return x / (sigma**2 + 1) - output * sigma / math.sqrt(sigma**2 + 1)
    return x - sigma * output


def output_for(prediction: str, clean: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
    """The output that predicts these clean latents: the inverse of `denoised`, for a sigma above 0."""
    if prediction == V:
        return (x / (sigma**2 + 1) - clean) * math.sqrt(sigma**2 + 1) / sigma
    return (x - clean) / sigma


@dataclass(frozen=True)
class LatentScale:
    """How the latents in which a model samples relate to those that its autoencoder encodes, which ComfyUI passes from
    node to node: raw = latents * std + mean. Both are broadcastable to (1, C, T, H, W)."""

    mean: torch.Tensor | float
    std: torch.Tensor | float

    def raw(self, latents_BCTHW: torch.Tensor) -> torch.Tensor:
        return latents_BCTHW * self._on(self.std, latents_BCTHW) + self._on(self.mean, latents_BCTHW)

    def scaled(self, raw_BCTHW: torch.Tensor) -> torch.Tensor:
        """The inverse."""
        return (raw_BCTHW - self._on(self.mean, raw_BCTHW)) / self._on(self.std, raw_BCTHW)

    @staticmethod
    def _on(value: torch.Tensor | float, like: torch.Tensor) -> torch.Tensor | float:
        return value.to(like) if isinstance(value, torch.Tensor) else value
