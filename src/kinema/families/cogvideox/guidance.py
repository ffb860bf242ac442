"""Dynamic guidance: the scale of every step, as published.

The scale is 1 + g * (1 - cos(pi * ((N - t) / N)^5)) / 2 for N steps and the training timestep t, from 0 to 999, in
both the authors' code and diffusers' pipelines. Because t is not a step number, the scale is not monotonic: it
oscillates between 1 and 1 + g and is small at the last steps.
"""

from __future__ import annotations

import math
from functools import partial

from ...diffusion.guidance import GuidanceStep, classifier_free, guided
from ...diffusion.steps import UNCOND


def dynamic_scale(guidance: float, num_steps: int, t: float) -> float:
    """The scale at training timestep t of a run of num_steps steps."""
    return 1 + guidance * (1 - math.cos(math.pi * ((num_steps - t) / num_steps) ** 5.0)) / 2


def dynamic(
    guidance: float, interval: tuple[float, float], timesteps: list[float], first: int
) -> tuple[GuidanceStep, ...]:  # fmt: skip
    """One GuidanceStep per timestep. first: the first step of the run, which has len(timesteps) - first steps."""
    count = max(1, len(timesteps) - first)
    found = []
    for step, t in zip(classifier_free(len(timesteps), guidance, interval), timesteps, strict=True):
        if UNCOND in step.branches:
            scale = dynamic_scale(guidance, count, t)
            step = GuidanceStep(step.branches, partial(guided, scale=scale), key=scale)
        found.append(step)
    return tuple(found)
