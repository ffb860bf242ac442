"""Guidance, outside of the networks: the branches that each step of a run computes, and how their outputs are combined.

Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): out = uncond + scale * (cond - uncond). It may be
limited to an interval of the steps (Kynkaanniemi et al. 2024, arXiv 2404.07724): outside it only the prompt's branch is
computed. A family with other branches, or with experts for different steps, returns its own list of `GuidanceStep`.
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
"""Network outputs by branch."""


@dataclass(frozen=True)
class GuidanceStep:
    """The guidance of one step.

    branches: the branches to compute, named by the family; with several experts, a name includes the expert. combine:
    maps their outputs to the guided output. correct: maps (outputs, guided output, x, sigma) to another guided output,
    for latents of one part (diffusion/guidance_variants.py). key: anything else that varies between steps (a changing
    scale). Steps of one `kind` evaluate one function of the timestep; an output can be forecast only from steps of its
    kind.
    """

    branches: tuple[str, ...]
    combine: Callable[[Outputs], Any]
    key: Hashable = None
    correct: Callable[[Outputs, Any, torch.Tensor, float], Any] | None = None

    @property
    def kind(self) -> Hashable:
        return self.branches, self.key


def classifier_free(
    num_steps: int, scale: float, interval: tuple[float, float], by_frame: torch.Tensor | None = None
) -> tuple[GuidanceStep, ...]:  # fmt: skip
    """One GuidanceStep per step: both branches inside the interval, only the prompt's outside. by_frame: scales that
    vary between frames, broadcastable to (1, C, T, H, W); they replace `scale` in the formula."""
    strength = scale if by_frame is None else by_frame
    both, alone = GuidanceStep((COND, UNCOND), partial(guided, scale=strength)), GuidanceStep((COND,), only)
    return tuple(both if UNCOND in each else alone for each in steps.classifier_free(num_steps, scale, interval))


def only(outputs: Outputs) -> Any:
    """The output of a single branch."""
    (found,) = outputs.values()
    return found


def guided(outputs: Outputs, scale: float | torch.Tensor, toward: str = COND, away: str = UNCOND) -> Any:
    """away + scale * (toward - away)."""
    return each(lambda far, near: far + scale * (near - far), outputs[away], outputs[toward])
