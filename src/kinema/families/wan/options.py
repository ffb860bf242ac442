"""Options of Wan's models. cards.py selects the options of each card and their defaults. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ...core.options import Sampling
from ...diffusion.steps import SkipLayers, layer_numbers


class WanOptions(Sampling):
    shift: Annotated[float, Field(ge=0.1, le=100.0)] = Field(
        5.0, description="timestep shift; higher spends more steps on layout and motion"
    )
    text_length: Annotated[int, Field(ge=8, le=512)] = Field(
        512, description="tokens to which the prompt is padded or truncated; the weights are trained for the default"
    )
    conditioning_scale: tuple[Annotated[float, Field(ge=0.0, le=1000.0)], ...] = Field(
        (1.0,), min_length=1, description="strength of the conditions: one number, or one per VACE layer"
    )
    vace_split: Literal["hard", "soft"] = Field(
        "hard",
        description="how a soft mask divides the source into kept and changed pixels. hard: at 0.5, as published; "
        "soft: in proportion, as ComfyUI",
    )
    boundary: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.875, description="level of noise down to which the expert for high noise is used, then that for low noise"
    )
    low_guidance: Annotated[float, Field(ge=0.0, le=100.0)] = Field(
        3.0, description="guidance of the expert for low noise; if only `guidance` is requested, it is that of both"
    )
    track_temperature: Annotated[float, Field(ge=1.0, le=1000.0)] = Field(
        220.0, description="how sharply a path's point is limited to its surroundings; higher is smaller"
    )
    track_points: Annotated[int, Field(ge=1, le=10)] = Field(
        2, description="number of paths that may act on one place; the nearest ones"
    )
    camera_lens: tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...] = Field(
        (0.5, 0.5, 0.5, 0.5),
        min_length=4,
        max_length=4,
        description="focal lengths x and y and centre x and y of the camera, in fractions of a 16:9 frame",
    )
    camera_speed: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        1.0, description="speed of the camera; multiplies the amount of its move"
    )
    first_frame: Literal["kept", "sampled"] = Field(
        "kept",
        description="the latents of a given first frame. kept: stay as they are, as published; sampled: are sampled "
        "like the others, as ComfyUI's Fun nodes do",
    )
    motion_words: Literal["path", "text"] = Field(
        "text", description="path: convert words for motion to a drawn path; text: use only the words"
    )
    unknown_words: Literal["read", "keep"] = Field(
        "keep",
        description="read: replace words outside the model's small vocabulary by known words; keep: leave them",
    )
    context_overlap: Annotated[int, Field(ge=0)] = Field(30, description="frames shared by neighbouring windows")
    cfg_zero: Literal["off", "on", "comfyui"] = Field(
        "off",
        description="CFG-Zero*: scale the negative branch of guidance to the prompt's. on: as published; "
        "comfyui: as its node CFGZeroStar computes it",
    )
    skip_layers: Annotated[str, Field(max_length=200)] = Field(
        "", description='skip layer guidance, away from the network without these blocks, as "7, 8, 9"; empty: none'
    )
    skip_strength: Annotated[float, Field(ge=0.0, le=10.0)] = Field(3.0, description="strength of skip layer guidance")
    skip_from: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.01, description="fraction of the noise schedule at which skip layer guidance begins"
    )
    skip_to: Annotated[float, Field(ge=0.0, le=1.0)] = Field(0.15, description="fraction at which it ends")
    skip_rescale: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        0.0, description="how far skip layer guidance keeps the contrast of the prompt's prediction"
    )

    @property
    def skip(self) -> SkipLayers:
        return SkipLayers(
            layer_numbers(self.skip_layers), self.skip_strength, self.skip_from, self.skip_to, self.skip_rescale
        )
