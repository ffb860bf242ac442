"""Noise schedule and loss of a denoiser that predicts noise (Ho et al. 2020) or velocity (Salimans and Ho 2022).

alpha_bar[t] is the product of (1 - beta); x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise, and
v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """A discrete noise schedule with the names of diffusers' schedulers. kind: "scaled_linear" (the square roots of
    beta are evenly spaced) or "linear". prediction: "epsilon" or "v_prediction". zero_snr: rescale the signal so that
    the last timestep is pure noise (arXiv 2305.08891, algorithm 1; diffusers' `rescale_betas_zero_snr`); requires
    v_prediction. snr_shift: the signal-to-noise ratio is divided by it first (CogVideoX's `snr_shift_scale`)."""

    num_steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    kind: str = "scaled_linear"
    prediction: str = "v_prediction"
    zero_snr: bool = False
    snr_shift: float = 1.0
    alphas_bar: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        power = {"scaled_linear": 0.5, "linear": 1.0}[self.kind]
        betas = torch.linspace(self.beta_start**power, self.beta_end**power, self.num_steps) ** (1 / power)
        bar = torch.cumprod(1 - betas, 0)
        signal = (bar / (self.snr_shift + (1 - self.snr_shift) * bar)).sqrt()
        if self.zero_snr:
            if self.prediction != "v_prediction":
                raise ValueError(f"zero_snr requires prediction='v_prediction', got {self.prediction!r}.")
            signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
        object.__setattr__(self, "alphas_bar", signal.square())

    @classmethod
    def of(cls, scheduler: Any) -> Schedule:
        """Return the schedule of a diffusers scheduler."""
        config = scheduler.config
        return cls(
            num_steps=config.num_train_timesteps, beta_start=config.beta_start, beta_end=config.beta_end,
            kind=config.beta_schedule, prediction=config.prediction_type,
            zero_snr=bool(config.get("rescale_betas_zero_snr")), snr_shift=config.get("snr_shift_scale", 1.0),
        )  # fmt: skip

    def mix(self, x0: Tensor, noise: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """(x_t, target of the network). t_B: timesteps 0 .. num_steps - 1."""
        bar = self.alphas_bar.to(x0.device)[t_B].view(-1, *[1] * (x0.ndim - 1))
        signal, spread = bar.sqrt(), (1 - bar).sqrt()
        target = noise if self.prediction == "epsilon" else signal * noise - spread * x0
        return signal * x0 + spread * noise, target

    def draw(self, batch: int, generator: torch.Generator, late: float = 0.0) -> Tensor:
        """Draw timesteps (B,), uniformly; `late` (0 to 1) moves them towards noise, where layout is decided."""
        even = torch.rand(batch, generator=generator)
        return ((1 - (1 - even) ** (1 + late)) * self.num_steps).long().clamp(max=self.num_steps - 1)


def weighted_error(predicted: Tensor, target: Tensor, weight: Tensor, still: float = 1.0) -> Tensor:
    """Mean squared error over (B, C, ...) with weights (B, ...) normalized to mean 1.

    still: weight of the part of the error that is symmetric in time, for clips (B, C, F, ...). That part is appearance
    and layout, to which a few clips overfit; the antisymmetric part is directed motion. Any weight above 0 has the same
    optimum; a smaller one learns motion first (the aim of MotionDirector's debiased loss, arXiv 2310.08465).
    """
    error = predicted.float() - target.float()
    scaled = (weight / weight.mean())[:, None]
    if still == 1.0:
        return (scaled * error.square()).mean()
    turns = (error - error.flip(2)) / 2
    return (scaled * (turns.square() + still * (error - turns).square())).mean()
