"""Options of EasyAnimate. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ...core.options import Sampling


class EasyAnimateOptions(Sampling):
    guidance_rescale: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0, description="how far the contrast of the guided output is set back to that of the prompt's alone"
    )
    image_noise: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0563, description="noise added to the pixels that are kept (standard deviation; pixels are in -1 to 1)"
    )
    decode_tiles: Literal["never", "always"] = Field(
        "never", description="encode and decode frames larger than 512x512 in overlapping tiles, for the least memory"
    )
    camera_lens: tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...] = Field(
        (0.532139961, 0.946026558, 0.5, 0.5),
        min_length=4,
        max_length=4,
        description="focal lengths x and y and centre x and y of a camera that moves, in fractions of a 16:9 frame",
    )
    camera_speed: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        1.0, description="speed of the camera; multiplies the amount of its move"
    )
    motion_module: bool = Field(
        True, description="use the motion modules; without them every latent frame is a picture of its own (paper)"
    )
