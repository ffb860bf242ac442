"""What a solver of a sampling equation has at hand: the sigmas, the predictions so far, new noise.

All work on (x, sigma, denoised): x = sigma * noise + signal * clean, where signal is 1 - sigma for flow matching and 1
otherwise. Both forms take the same exponential steps: for constant predictions
x' = (sigma' / sigma) x + (1 - sigma' / sigma) denoised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .noise import NoiseInTurn, noise
from .prediction import FLOW, signal


class SolverRun:
    """The state of a run. seed: of the noise that a solver adds. in_turn: this noise is drawn in turn from one
    generator (`NoiseInTurn`, also for frames_first), and not from a stream for each step."""

    def __init__(self, name: str, prediction: str, seed: int, *, in_turn: bool, frames_first: bool) -> None:
        self.name, self.prediction, self.seed = name, prediction, seed
        self.in_turn, self.frames_first, self.num_drawn = in_turn, frames_first, 0
        self._internal_noise: NoiseInTurn | None = None
        """Not part of a saved state."""
        self.sigmas = torch.zeros(0)
        """The sigma of each evaluation of the network, and the last."""
        self.index = 0
        self.history: list[torch.Tensor] = []
        """Denoised predictions, or what a solver keeps in their place; the newest last, at most three."""
        self.start_x: torch.Tensor | None = None
        """The latents from which the last step went, for solvers that need them."""

    def fresh(self, like: torch.Tensor) -> torch.Tensor:
        """New noise for this evaluation."""
        if not self.in_turn:
            return noise(self.seed, f"step/{self.index}", tuple(like.shape)).to(like)
        self.num_drawn += 1
        if self._internal_noise is None or self._internal_noise.device != like.device:
            # ComfyUI draws on the latents' device; on the CPU with the next seed, so that it is not the initial noise.
            seed = self.seed + (like.device.type == "cpu")
            self._internal_noise = NoiseInTurn(seed, like.device, frames_first=self.frames_first)
        return self._internal_noise.numbered(self.num_drawn, tuple(like.shape)).to(like)

    def signal(self, sigma: float) -> float:
        return signal(self.prediction, sigma)

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, sigma: float) -> torch.Tensor:
        return sigma * noise + self.signal(sigma) * clean

    def log_snr(self, sigma: float) -> float:
        """Half of the logarithm of the signal-to-noise ratio: ln(signal / sigma)."""
        return math.log(self.signal(sigma) / sigma)

    def at_log_snr(self, half: float) -> float:
        """The sigma of a half logarithm of the signal-to-noise ratio."""
        return 1 / (1 + math.exp(half)) if self.prediction == FLOW else math.exp(-half)

    def sigma_before(self, count: int) -> float:
        """The sigma of an earlier evaluation."""
        return float(self.sigmas[self.index - count])

    def down_and_up(self, sigma: float, after: float) -> tuple[float, float, float]:
        """An ancestral step (eta 1) as (lower sigma to step to, scale of what is reached, amount of new noise)."""
        if self.prediction == FLOW:
            down = after * (after / sigma)
            scale = (1 - after) / (1 - down)
            return down, scale, math.sqrt(after**2 - (down * scale) ** 2)
        up = min(after, math.sqrt(after**2 * (sigma**2 - after**2) / sigma**2))
        return math.sqrt(after**2 - up**2), 1.0, up


Step = Callable[[SolverRun, torch.Tensor, torch.Tensor, float, float], torch.Tensor]
"""(run, x, denoised, sigma, next sigma) -> x at the next sigma."""


@dataclass(frozen=True)
class Solver:
    """How a sampler steps. One evaluation a step: `step`. Two: `middle` gives the sigma of the second from (run, sigma,
    next sigma), `step` the x there, and `second`, called with the x from which the step went and the second prediction,
    the x at the next sigma; a step to 0 has one evaluation. derivatives: it keeps (x - denoised) / sigma in the history
    instead of predictions."""

    step: Step
    middle: Callable[[SolverRun, float, float], float] | None = None
    second: Step | None = None
    derivatives: bool = False


def toward(x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """One exponential step with a constant prediction, which is Euler's step."""
    return x * (after / sigma) + clean * (1 - after / sigma)
