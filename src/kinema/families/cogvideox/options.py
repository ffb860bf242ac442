"""Options of CogVideoX. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ...core.options import Sampling

LEAST_SIGMA_PX, MOST_SIGMA_PX = 0.3, 200.0


class CogVideoXOptions(Sampling):
    dynamic_guidance: bool = Field(
        False,
        description="vary the guidance scale from step to step between 1 and 1 + guidance, as the publishers do with "
        "DPM-Solver++; otherwise it is constant",
    )
    solver: Literal["checkpoint", "ddim", "dpm"] = Field(
        "checkpoint",
        description="checkpoint: the scheduler that the checkpoint names; ddim: DDIM; dpm: the stochastic "
        "DPM-Solver++ (2M)",
    )
    decode_tiles: Literal["auto", "always", "never"] = Field(
        "auto",
        description="decode frames in overlapping tiles: auto, if they are larger than those that the autoencoder was "
        "trained on; always, for the least memory; never",
    )
    trajectory_sigma: Annotated[float, Field(ge=LEAST_SIGMA_PX, le=MOST_SIGMA_PX)] = Field(
        10.0,
        description="width of the motion around a drawn path: the standard deviation, in pixels, of the Gaussian that "
        "spreads it (Tora)",
    )
