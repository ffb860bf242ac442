"""Where samplers differ, asked of a diffusers scheduler: how large the first noise is, where a clip to begin with
enters, how a network sees x."""

from __future__ import annotations

from typing import Any

import torch

from .steps import first_step


def begin(scheduler: Any, noise: torch.Tensor) -> torch.Tensor:
    """Standard normal noise as the scheduler's most noisy latents. Schedulers of flow matching begin with it as it is,
    those in Karras' form (x = clean + sigma * noise) with its highest sigma times it."""
    return noise * float(getattr(scheduler, "init_noise_sigma", 1.0))


def begin_with(
    scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, steps: int, strength: float
) -> tuple[torch.Tensor, int]:
    """(latents to begin with, step to begin at) where a clip is given, see `first_step`. A scheduler of order 2 has two
    timesteps for a step."""
    first = first_step(steps, strength) * int(getattr(scheduler, "order", 1))
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return _with_noise(scheduler, clean, noise, scheduler.timesteps[first : first + 1]), first


def noised(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, first: int) -> torch.Tensor:
    """Clean latents at the noise that a run from step `first` begins with; for the very first that is the last timestep
    of training, which a schedule of few steps may not reach. Flow matching has nothing beyond its first step."""
    t = scheduler.timesteps[first : first + 1]
    if first == 0 and not is_flow(scheduler):
        t = torch.tensor([scheduler.config.num_train_timesteps - 1])
    return _with_noise(scheduler, clean, noise, t)


def is_flow(scheduler: Any) -> bool:
    """Does it step along flow matching's straight lines?"""
    config = getattr(scheduler, "config", {})
    return not hasattr(scheduler, "add_noise") or bool(config.get("use_flow_sigmas", False))


def _with_noise(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    if hasattr(scheduler, "add_noise"):
        return scheduler.add_noise(clean, noise, t)
    return scheduler.scale_noise(clean, t, noise)


def shown(scheduler: Any, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """x as the network sees it at timestep t: in Karras' form, x / sqrt(sigma^2 + 1)."""
    return scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x


def noise_level(scheduler: Any, step: int) -> float:
    """The noise of a step in the scheduler's own measure; noise over signal where it has none (DDIM)."""
    if hasattr(scheduler, "sigmas"):
        return float(scheduler.sigmas[step])
    bar = float(scheduler.alphas_cumprod[int(scheduler.timesteps[step])])
    return ((1 - bar) / bar) ** 0.5 if bar > 0 else float("inf")
