"""Differences between diffusers schedulers: the scale of the initial noise, the noising of a source clip, the scaling
of the network's input. Latents of several parts have a scheduler for each (`SchedulerPerPart`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from .latents import Latents
from .steps import first_step


class SchedulerPerPart:
    """A scheduler for each part of the latents, stepped together: each part moves from its own timestep to its next.
    The network gets the first part's timesteps. Raises ValueError if their numbers of timesteps differ."""

    def __init__(self, schedulers: Mapping[str, Any]) -> None:
        self.schedulers = dict(schedulers)
        counts = {name: len(one.timesteps) for name, one in self.schedulers.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"Parts that are sampled together need equal numbers of timesteps, got {counts}.")
        self.number = 0
        first = next(iter(self.schedulers.values()))
        self.timesteps, self.order = first.timesteps, int(getattr(first, "order", 1))

    def set_begin_index(self, first: int) -> None:
        self.number = first
        for one in self.schedulers.values():
            if hasattr(one, "set_begin_index"):
                one.set_begin_index(first)

    def step(
        self, output: Mapping[str, torch.Tensor], t: torch.Tensor, x: Mapping[str, torch.Tensor], return_dict: bool
    ) -> tuple[dict[str, torch.Tensor]]:  # fmt: skip
        """As in diffusers: (x at the next timestep,)."""
        at, self.number = self.number, self.number + 1
        found = {
            name: one.step(output[name], one.timesteps[at], x[name], return_dict=return_dict)[0]
            for name, one in self.schedulers.items()
        }
        return (found,)


def by_name(scheduler: Any) -> dict[str, Any]:
    """The objects that hold the state of sampling: the scheduler under "", and those of the parts by name."""
    return {"": scheduler, **(scheduler.schedulers if isinstance(scheduler, SchedulerPerPart) else {})}


def _each(function: Callable[..., Any], scheduler: Any, *latents: Any) -> Any:
    """Apply function(scheduler, part, ...) to each part."""
    if isinstance(scheduler, SchedulerPerPart):
        return {name: function(one, *(each[name] for each in latents)) for name, one in scheduler.schedulers.items()}
    return function(scheduler, *latents)


def begin(scheduler: Any, noise: Latents) -> Any:
    """The scheduler's initial latents from standard normal noise: unchanged for flow matching, scaled by the highest
    sigma in Karras' form (x = clean + sigma * noise)."""
    return _each(lambda one, part: part * float(getattr(one, "init_noise_sigma", 1.0)), scheduler, noise)


def begin_with(scheduler: Any, clean: Latents, noise: Latents, steps: int, strength: float) -> tuple[Any, int]:
    """(initial latents, first timestep) for a source clip, see `first_step`. A scheduler of order 2 has two timesteps
    per step."""
    first = first_step(steps, strength) * int(getattr(scheduler, "order", 1))
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)

    def at_first(one: Any, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return _with_noise(one, clean, noise, one.timesteps[first : first + 1])

    return _each(at_first, scheduler, clean, noise), first


def noised(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, first: int) -> torch.Tensor:
    """Clean latents of one part, noised to the level at which a run from step `first` begins. For step 0 that is the
    last training timestep, which a schedule of few steps may not reach; flow matching has no level above its first
    step."""
    t = scheduler.timesteps[first : first + 1]
    if first == 0 and not is_flow(scheduler):
        t = torch.tensor([scheduler.config.num_train_timesteps - 1])
    return _with_noise(scheduler, clean, noise, t)


def is_flow(scheduler: Any) -> bool:
    """Whether it is a flow-matching scheduler."""
    config = getattr(scheduler, "config", {})
    return not hasattr(scheduler, "add_noise") or bool(config.get("use_flow_sigmas", False))


def _with_noise(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    if not len(t):  # no steps to run: the clip is unchanged
        return clean
    if hasattr(scheduler, "add_noise"):
        return scheduler.add_noise(clean, noise, t)
    return scheduler.scale_noise(clean, t, noise)


def shown(scheduler: Any, x: Latents, t: torch.Tensor) -> Any:
    """The network's input for x at timestep t: in Karras' form, x / sqrt(sigma^2 + 1). Each part uses its own
    timestep."""
    if isinstance(scheduler, SchedulerPerPart):
        at = scheduler.number
        return _each(lambda one, part: shown(one, part, one.timesteps[at]), scheduler, x)
    return scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x


def noise_level(scheduler: Any, step: int) -> float:
    """The noise level of a step: the scheduler's sigma, or noise over signal if it has none (DDIM). For several parts,
    that of the first."""
    if isinstance(scheduler, SchedulerPerPart):
        return noise_level(next(iter(scheduler.schedulers.values())), step)
    if hasattr(scheduler, "sigmas"):
        return float(scheduler.sigmas[step])
    bar = float(scheduler.alphas_cumprod[int(scheduler.timesteps[step])])
    return ((1 - bar) / bar) ** 0.5 if bar > 0 else float("inf")
