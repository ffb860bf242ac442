"""What a Wan model adds to its runs so that they can be cut into parts and windows: core/family.py, Staged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...core.plan import Plan
from ...diffusion.prediction import FLOW, LatentScale, SigmaModel
from ...diffusion.sigma_schedules import flow_levels
from . import decode
from .options import WanOptions


class InParts:
    """A mixin of WanFamily."""

    def sigma_model(self, plan: Plan) -> SigmaModel:
        levels = flow_levels(WanOptions.of(plan).shift)
        return SigmaModel(FLOW, levels, levels.timestep)

    def latent_scale(self: Any) -> LatentScale:
        return LatentScale(*decode.mean_std(self.parts.vae, self.device))

    def part(self, cond: Any, places: slice) -> Any:
        """A WanCond for some of the latent frames."""
        both = (each if each is None else each[:, :, places] for each in (cond.concat_BCTHW, cond.control_BCTHW))
        concat, control = both
        return replace(cond, concat_BCTHW=concat, control_BCTHW=control)

    def num_frames(self: Any, latent_frames: int) -> int:
        return (latent_frames - 1) * int(decode.time_factor(self.parts.vae)) + 1
