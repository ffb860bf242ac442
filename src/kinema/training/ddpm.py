"""Training a denoiser on a discrete noise schedule (Ho et al. 2020) for noise or velocity (Salimans and Ho 2022).

alpha_bar[t] is the product of (1 - beta); x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise, and
v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """kind: "scaled_linear" (the square roots of beta are evenly spaced) or "linear". prediction: "epsilon" or
    "v_prediction". Names and meaning are those of diffusers' schedulers."""

    num_steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    kind: str = "scaled_linear"
    prediction: str = "v_prediction"
    alphas_bar: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        power = {"scaled_linear": 0.5, "linear": 1.0}[self.kind]
        betas = torch.linspace(self.beta_start**power, self.beta_end**power, self.num_steps) ** (1 / power)
        object.__setattr__(self, "alphas_bar", torch.cumprod(1 - betas, 0))

    def mix(self, x0: Tensor, noise: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """(x_t, what the network must predict); t_B: whole steps 0 .. num_steps - 1."""
        bar = self.alphas_bar.to(x0.device)[t_B].view(-1, *[1] * (x0.ndim - 1))
        signal, spread = bar.sqrt(), (1 - bar).sqrt()
        target = noise if self.prediction == "epsilon" else signal * noise - spread * x0
        return signal * x0 + spread * noise, target

    def draw(self, batch: int, generator: torch.Generator, late: float = 0.0) -> Tensor:
        """Whole steps (B,): evenly drawn; `late` (0 to 1) moves them towards noise, where layout is decided."""
        even = torch.rand(batch, generator=generator)
        return ((1 - (1 - even) ** (1 + late)) * self.num_steps).long().clamp(max=self.num_steps - 1)


def weighted_error(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error over (B, C, ...) with weights (B, ...) normalised to mean 1."""
    scaled = (weight / weight.mean())[:, None]
    return (scaled * (predicted.float() - target.float()).square()).mean()
