"""Guidance, outside of every network: which branches each step of a run computes, and what is made of their outputs.

Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): out = uncond + scale * (cond - uncond). It may be
limited to an interval of the steps (Kynkaanniemi et al. 2024, arXiv 2404.07724): outside it only the prompt's branch is
computed. A family with other branches, or with experts that share the steps, makes its own list of `Way`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from . import steps
from .latents import each
from .steps import COND, UNCOND

Outputs = dict[str, Any]
"""What the network says, by branch."""


@dataclass(frozen=True)
class Way:
    """How one step is computed.

    branches: what the network is asked for, by the family's own names; where experts share the steps, a name says also
    which expert. combine: their outputs to the guided one. key: whatever else decides it and is not the same at every
    step (a scale that changes). Steps of one `kind` are points of one function of the timestep: only among them can an
    output be forecast.
    """

    branches: tuple[str, ...]
    combine: Callable[[Outputs], Any]
    key: Hashable = None

    @property
    def kind(self) -> Hashable:
        return self.branches, self.key


def classifier_free(
    num_steps: int, scale: float, interval: tuple[float, float], by_frame: torch.Tensor | None = None
) -> tuple[Way, ...]:  # fmt: skip
    """A way for each step: both branches inside the interval, the prompt's alone outside. by_frame: scales that fit (1,
    C, T, H, W), in the place of the one scale where they differ between frames."""
    strength = scale if by_frame is None else by_frame
    both, alone = Way((COND, UNCOND), partial(guided, scale=strength)), Way((COND,), only)
    return tuple(both if UNCOND in each else alone for each in steps.classifier_free(num_steps, scale, interval))


def only(outputs: Outputs) -> Any:
    """The output of a single branch."""
    (found,) = outputs.values()
    return found


def guided(outputs: Outputs, scale: float | torch.Tensor, toward: str = COND, away: str = UNCOND) -> Any:
    """away + scale * (toward - away)."""
    return each(lambda far, near: far + scale * (near - far), outputs[away], outputs[toward])
