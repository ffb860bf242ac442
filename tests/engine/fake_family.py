"""A family without networks for tests of the loop: each branch predicts one number, and the loop's outputs are
recorded step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.configuration_utils import FrozenDict

from kinema.core.chunk import Chunk
from kinema.core.family import Prepared
from kinema.diffusion import scheduling
from kinema.diffusion.guidance import classifier_free

SAYS = {"cond": 1.0, "uncond": 0.0}
"""What each branch predicts everywhere: the guided output is then the guidance scale itself."""


class NotedScheduler:
    """Timesteps from 1000 down to 0; a step leaves x unchanged and records its input."""

    order = 1
    config = FrozenDict(num_train_timesteps=1000)

    def __init__(self, num_steps: int) -> None:
        self.timesteps = torch.linspace(1000, 1, num_steps)
        self.sigmas = torch.linspace(1, 0, num_steps + 1)
        self.given: list[float] = []

    def step(self, output: torch.Tensor, t: torch.Tensor, x: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        self.given.append(float(output.mean()))
        return (x,)

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return clean + noise


class FakeFamily:
    """`says(branch, step)` is the output of a branch; `evaluations` are (timestep, branches) of every call."""

    def __init__(self, card: Any = None, says: Any = lambda branch, t: SAYS[branch]) -> None:
        self.card, self.says = card, says
        self.schedulers: list[NotedScheduler] = []
        self.evaluations: list[tuple[float, tuple[str, ...]]] = []

    def notes(self, plan: Any) -> tuple[str, ...]:
        return ()

    def prepare(self, plan: Any, window: Any = None) -> Prepared:
        return Prepared()

    def encode(self, plan: Any, prepared: Prepared) -> Any:
        return plan

    def latent_shape(self, cond: Any, span: Any) -> tuple[int, ...]:
        return (1, 1, 1, 2, 2)

    def scheduler(self, plan: Any) -> NotedScheduler:
        self.schedulers.append(NotedScheduler(plan.steps))
        return self.schedulers[-1]

    def begin(self, plan: Any, cond: Any, scheduler: Any, noise_BCTHW: torch.Tensor) -> tuple[torch.Tensor, int]:
        if not any(condition.kind == "source" for condition in plan.conditions):
            return scheduling.begin(scheduler, noise_BCTHW), 0
        strength = float(plan.options.get("strength", 1.0))
        return scheduling.begin_with(scheduler, torch.zeros_like(noise_BCTHW), noise_BCTHW, plan.steps, strength)

    def guidance(self, plan: Any, span: Any, scheduler: Any) -> Any:
        return classifier_free(len(scheduler.timesteps), plan.guidance, plan.guidance_interval)

    def predict(self, cond: Any, span: Any) -> Any:
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            self.evaluations.append((float(t), branches))
            return {branch: torch.full_like(x_BCTHW, self.says(branch, float(t))) for branch in branches}

        return run

    def preview(self, x_BCTHW: Any, output_BCTHW: Any, sigma: float, plan: Any, span: Any) -> np.ndarray:
        return np.zeros((1, 2, 2, 3), np.uint8)

    def decode(self, latents_BCTHW: torch.Tensor, plan: Any, span: Any) -> Any:
        frames = np.zeros((span.num_frames, 2, 2, 3), np.uint8)
        yield Chunk(frames, span.start, plan.fps)
