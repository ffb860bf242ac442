"""Step reuse: compute every k-th step in the middle of a run and forecast the network's output between.

The output of a flow or diffusion network changes slowly along the path in mid-run. On a skipped step the last two
computed outputs are continued in a straight line over the timestep (a first-order Taylor forecast, the idea of
TaylorSeer, arXiv 2503.06923, taken at the network's output). No calibration, two tensors of memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from .latents import Latents, each
from .steps import evaluated


class StepReuse:
    """Remembers computed outputs and forecasts the others. One object per span."""

    def __init__(self, ways: Sequence[Hashable], every: int) -> None:
        """ways: how each step would be computed, see `steps.evaluated`."""
        self.ways, self.every = tuple(ways), every
        self.history: list[tuple[float, Latents]] = []
        self.begin(0)

    def begin(self, first: int) -> None:
        """The run begins at step number `first`; a run that is taken up again keeps the beginning that it had."""
        self.first, self.computed = first, evaluated(self.ways, self.every, first)

    def skips(self, step: int) -> bool:
        """True where step number `step` is forecast rather than computed."""
        return not self.computed[step]

    def remember(self, t: float, output: Latents) -> None:
        """Keep the output computed at timestep `t` (and the one before it)."""
        self.history = [*self.history[-1:], (t, output)]

    def forecast(self, t: float) -> Any:
        """The output expected at timestep `t`: on the line, or the last one where many steps share a timestep."""
        (before, older), (now, newer) = self.history
        if now == before:
            return newer
        share = (t - now) / (now - before)
        return each(lambda new, old: new + (new - old) * share, newer, older)
