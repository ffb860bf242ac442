"""Options of all video models that are based on Stable Diffusion image models. No torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..core.options import Sampling


class ClipOptions(Sampling):
    """`base` is "" for models with their own image model."""

    base: str = Field(
        "",
        description="the image model: a folder, a single file (.safetensors) in Stable Diffusion 1's layout, or a "
        "pulled hub id; of the same shape as in training",
    )
    low_memory: bool = Field(False, description="process single frames where possible: slower, half the memory")
    decode_chunk: Annotated[int, Field(ge=1, le=128)] = Field(8, description="frames decoded at once")
    clip_skip: Annotated[int, Field(ge=0, le=4)] = Field(0, description="number of CLIP's last layers to skip")
