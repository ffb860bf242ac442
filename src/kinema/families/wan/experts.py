"""The two experts of Wan 2.2 A14B: one denoiser for high noise, one for low noise, each with its own guidance.

A step's branches are named after the expert that computes them ("high/cond"), so that no step is forecast from the
other expert's outputs. diffusers' folders call the expert for high noise `transformer` and the other `transformer_2`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ...core.plan import Plan
from ...diffusion import steps
from ...diffusion.guidance import GuidanceStep, guided, only
from .options import WanOptions
from .variants import names_expert

HIGH, LOW = "high", "low"
FOLDERS = {HIGH: "transformer", LOW: "transformer_2"}
"""Of a diffusers folder with both."""
TIMESTEPS = 1000


def guidance(plan: Plan, timesteps: Iterable[float]) -> tuple[GuidanceStep, ...]:
    """For each timestep, in [0, 1000], the expert and its branches. A scale of 1 or less needs no negative prompt."""
    options, all_steps = WanOptions.of(plan), list(timesteps)
    found = []
    for step, t in enumerate(all_steps):
        high = t >= options.boundary * TIMESTEPS
        expert, scale = (HIGH, plan.guidance) if high else (LOW, options.low_guidance)
        toward, away = f"{expert}/{steps.COND}", f"{expert}/{steps.UNCOND}"
        if steps.is_guided(step, len(all_steps), scale, plan.guidance_interval):
            found.append(GuidanceStep((toward, away), partial(guided, scale=scale, toward=toward, away=away)))
        else:
            found.append(GuidanceStep((toward,), only))
    return tuple(found)


def split(branch: str) -> tuple[str, str]:
    """(expert, branch without it); the expert is "" for a model with one network."""
    expert, _, plain = branch.rpartition("/")
    return expert, plain


def styles_of(styles: tuple[tuple[str, float], ...], expert: str) -> tuple[tuple[str, float], ...]:
    """The styles of an expert: LoRAs for A14B come in pairs, whose names say high or low noise; others are for both. A
    network alone has all of them."""
    return (
        styles if not expert else tuple(style for style in styles if names_expert(Path(style[0]).name) in ("", expert))
    )
