"""EDM noise levels with velocity outputs (Stable Video Diffusion, arXiv 2311.15127, appendix D).

sigma = exp(N(mean, std^2)). The network's inputs are x / sqrt(s^2 + 1) and 0.25 ln s; its output F gives the clean
estimate x / (s^2 + 1) - s / sqrt(s^2 + 1) F. With the paper's loss weight (s^2 + 1) / s^2 the loss is the error of F.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoiseLevels:
    """Log-normal noise levels. mean, std: of ln sigma."""

    mean: float
    std: float

    def draw(self, batch: int, generator: torch.Generator) -> Tensor:
        return torch.exp(self.mean + self.std * torch.randn(batch, generator=generator))


def mix(x0: Tensor, noise: Tensor, sigma_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(network input, c_noise (B,), target) for x0 (B, ...) of unit variance."""
    sigma = sigma_B.to(x0).view(-1, *[1] * (x0.ndim - 1))
    spread = (sigma.square() + 1).sqrt()
    return (x0 + sigma * noise) / spread, 0.25 * sigma_B.log(), (noise - sigma * x0) / spread


def align_times(video: Any, image: Any, alphas_bar: Tensor, steps: int = 400) -> float:
    """Fit the time embedding of a video network, whose input is 0.25 ln s, to that of the image model at the timestep
    of the same noise level, so that the copied layers get familiar inputs. Returns the remaining error, relative to
    the embedding's variance."""
    sigmas = ((1 - alphas_bar) / alphas_bar).sqrt()
    with torch.no_grad():
        times = torch.arange(len(sigmas))
        wanted = image.time_embedding(image.time_proj(times).to(image.dtype)).float()
        seen = video.time_proj(0.25 * sigmas.log())
    layer = video.time_embedding
    optimizer = torch.optim.Adam(layer.parameters(), lr=3e-3)
    error = torch.zeros(())
    with torch.enable_grad():
        for step in range(steps):
            error = (layer(seen.to(video.dtype)).float() - wanted).square().mean() / wanted.var()
            optimizer.zero_grad()
            error.backward()
            optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
            optimizer.step()
    optimizer.zero_grad()
    return float(error.detach())
