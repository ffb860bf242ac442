"""Options of Stable Video Diffusion. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ...core.options import Sampling


class SvdOptions(Sampling):
    motion: Annotated[int, Field(ge=0, le=1023)] = Field(
        127, description="amount of motion: the motion bucket, trained from 0 (still) to 255"
    )
    augmentation: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        0.02, description="noise on the image; more lets the clip deviate from it"
    )
    first_guidance: Annotated[float, Field(ge=0.0, le=30.0)] = Field(
        1.0, description="guidance scale of the first frame; `guidance` is that of the last (triangle: of the middle)"
    )
    guidance_shape: Literal["linear", "triangle"] = Field(
        "linear", description="change of the guidance scale over the frames"
    )
    decode_chunk: Annotated[int, Field(ge=1, le=256)] = Field(
        14, description="frames decoded at once; fewer use less memory"
    )
