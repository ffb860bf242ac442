"""Classifier-free guidance whose contrast is set back to that of the prompt's output: section 3.4 of Lin et al. 2023
(arXiv 2305.08891)."""

from __future__ import annotations

from functools import partial

import torch

from ...diffusion.guidance import GuidanceStep, Outputs, classifier_free, guided
from ...diffusion.steps import COND, UNCOND


def rescaled(outputs: Outputs, scale: float, share: float) -> torch.Tensor:
    """share: 0 leaves the guided output as it is; 1 gives it the standard deviation of the prompt's output."""
    found: torch.Tensor = guided(outputs, scale)
    ratio = outputs[COND].std() / found.std()
    return share * (found * ratio) + (1 - share) * found


def steps(num_steps: int, scale: float, interval: tuple[float, float], share: float) -> tuple[GuidanceStep, ...]:
    """One GuidanceStep per step, see `classifier_free`."""
    found = classifier_free(num_steps, scale, interval)
    if not share:
        return found
    both = GuidanceStep((COND, UNCOND), partial(rescaled, scale=scale, share=share))
    return tuple(both if UNCOND in each.branches else each for each in found)
