"""Step reuse: compute every k-th step in the middle of a run and forecast the network's output between.

The output of a flow or diffusion network changes slowly along the path in mid-run. On a skipped step the last two
computed outputs are continued in a straight line over the timestep (a first-order Taylor forecast, the idea of
TaylorSeer, arXiv 2503.06923, taken at the network's output). No calibration, two tensors of memory.
"""

from __future__ import annotations

import torch

from .steps import is_reused


class StepReuse:
    """Remembers computed outputs and forecasts the others. One object per span."""

    def __init__(self, every: int, num_steps: int) -> None:
        self.every, self.num_steps = every, num_steps
        self.history: list[tuple[float, torch.Tensor]] = []

    def skips(self, step: int) -> bool:
        """True where step number `step` is forecast rather than computed. A run that begins part of the way computes
        its first two."""
        return len(self.history) == 2 and is_reused(step, self.num_steps, self.every)

    def remember(self, t: float, output: torch.Tensor) -> None:
        """Keep the output computed at timestep `t` (and the one before it)."""
        self.history = [*self.history[-1:], (t, output)]

    def forecast(self, t: float) -> torch.Tensor:
        """The output expected at timestep `t`."""
        (before, older), (now, newer) = self.history
        return newer + (newer - older) * ((t - now) / (now - before))
