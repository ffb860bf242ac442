"""Settings that all video models on an image model of Stable Diffusion's kind share. No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..core.options import Sampling


class ClipOptions(Sampling):
    """`base` is "" where a model brings its own image model."""

    base: str = Field(
        "",
        description="the image model: a folder, a single file (.safetensors) of Stable Diffusion 1's layout, or a hub "
        "id that was pulled; any of the shape that this was trained on",
    )
    low_memory: bool = Field(False, description="frame by frame where that changes nothing: slower, half the memory")
    decode_chunk: Annotated[int, Field(ge=1, le=128)] = Field(8, description="frames decoded at once")
    clip_skip: Annotated[int, Field(ge=0, le=4)] = Field(0, description="layers of CLIP left out at its end")
