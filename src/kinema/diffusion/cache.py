"""Step reuse: compute every k-th step in the middle of a run and extrapolate the network's output between.

The output of a flow or diffusion network changes slowly along the path in mid-run. On a skipped step the last two
computed outputs are continued in a straight line over sigma (a first-order Taylor forecast at the output, the idea
of TaylorSeer, arXiv 2503.06923, taken at the cheapest place). It needs no calibration and two tensors of memory.
"""

from __future__ import annotations

import torch

HEAD, TAIL = 0.3, 0.1
"""Fractions of the steps at either end that are always computed: layout is decided first, detail last."""


class StepReuse:
    """Decides which steps are computed, remembers outputs, forecasts the others. One object per span."""

    def __init__(self, every: int, num_steps: int) -> None:
        self.every, self.num_steps = every, num_steps
        self.history: list[tuple[float, torch.Tensor]] = []

    def skips(self, step: int) -> bool:
        """True where step number `step` is forecast rather than computed."""
        first = max(2, round(self.num_steps * HEAD))
        last = self.num_steps - max(2, round(self.num_steps * TAIL))
        return self.every > 1 and first <= step < last and (step - first) % self.every != self.every - 1

    def remember(self, sigma: float, output: torch.Tensor) -> None:
        self.history = [*self.history[-1:], (sigma, output)]

    def forecast(self, sigma: float) -> torch.Tensor:
        """The output expected at `sigma`, from the last two computed ones."""
        (before, older), (now, newer) = self.history
        return newer + (newer - older) * ((sigma - now) / (now - before))
