"""CogVideoX's schedulers with the interface that the loop expects: `step(output, t, x)`.

diffusers' DPM-Solver++ for CogVideoX takes the predicted clean latents and the timestep of the step before as
arguments; here they are attributes, which sampling states save. It is stochastic: each step's noise comes from a stream
named by the step, so that a resumed run draws the same noise.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler

from ...diffusion.noise import stream_seed


class Ddim(CogVideoXDDIMScheduler):
    """DDIM (arXiv 2010.02502). begin_index: the first step of the run."""

    begin_index = 0

    def set_begin_index(self, first: int) -> None:
        self.begin_index = first


class Dpm(CogVideoXDPMScheduler):
    """The stochastic second-order multistep DPM-Solver++ (arXiv 2211.01095).

    before: timestep of the previous step; clean: its predicted clean latents; number: of steps done.
    """

    begin_index, number, seed = 0, 0, 0
    before: int | None = None
    clean: torch.Tensor | None = None

    def set_begin_index(self, first: int) -> None:
        self.begin_index = self.number = first

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, return_dict: bool = False, **_: Any
    ) -> tuple[torch.Tensor]:  # fmt: skip
        """As in other schedulers: (x at the next timestep,)."""
        t = int(timestep)
        generator = torch.Generator("cpu").manual_seed(stream_seed(self.seed, f"solver/{self.number}"))
        solve: Any = super().step  # type: ignore[misc]
        x, self.clean = solve(model_output, self.clean, t, self.before, sample, generator=generator)
        self.before, self.number = t, self.number + 1
        return (x,)


CLASSES: dict[str, Any] = {"ddim": Ddim, "dpm": Dpm}
PUBLISHED = {CogVideoXDDIMScheduler: "ddim", CogVideoXDPMScheduler: "dpm"}


def scheduler_of(pattern: Any, solver: str, steps: int, seed: int, device: torch.device) -> Any:
    """A new scheduler for one request. pattern: the checkpoint's. solver: "checkpoint", "ddim" or "dpm"."""
    name = PUBLISHED[type(pattern)] if solver == "checkpoint" else solver
    scheduler = CLASSES[name].from_config(pattern.config)
    scheduler.set_timesteps(steps, device=device)
    scheduler.set_begin_index(0)
    scheduler.seed = seed
    return scheduler
