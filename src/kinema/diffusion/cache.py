"""Step reuse: compute every k-th step in the middle of a run and forecast the network's output for the others.

The output of a flow or diffusion network changes slowly in mid-run. On a skipped step the last two computed outputs are
extrapolated linearly over the timestep (a first-order Taylor forecast as in TaylorSeer, arXiv 2503.06923, applied to
the network's output). Needs no calibration and the memory of two tensors.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from .latents import Latents, each
from .steps import evaluated


class StepReuse:
    """Cache of computed outputs that forecasts the others. One object per span."""

    def __init__(self, kinds: Sequence[Hashable], every: int) -> None:
        """kinds: the kind of each step, see `steps.evaluated`."""
        self.kinds, self.every = tuple(kinds), every
        self.history: list[tuple[float, Latents]] = []
        self.begin(0)

    def begin(self, first: int) -> None:
        """Set the first step of the run; a resumed run keeps its original first step."""
        self.first, self.computed = first, evaluated(self.kinds, self.every, first)

    def skips(self, step: int) -> bool:
        """Whether step number `step` is forecast rather than computed."""
        return not self.computed[step]

    def remember(self, t: float, output: Latents) -> None:
        """Cache the output computed at timestep `t`, and keep the one before it."""
        self.history = [*self.history[-1:], (t, output)]

    def forecast(self, t: float) -> Any:
        """The output extrapolated to timestep `t`, or the last one if the last two share a timestep."""
        (before, older), (now, newer) = self.history
        if now == before:
            return newer
        share = (t - now) / (now - before)
        return each(lambda new, old: new + (new - old) * share, newer, older)
