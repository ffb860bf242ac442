"""Upscale: the steps that upscale a finished clip. Plain values.

A step resamples pixels (`PIXEL_METHODS`), runs the super-resolution network (`NETWORK`), or runs a model: noise is
added to the resampled clip, which the model then denoises with the clip's own prompt.
"""

from __future__ import annotations

import re
from numbers import Real
from typing import Annotated, Any

from pydantic import Field, JsonValue, model_validator

from .conditions import Value

PIXEL_METHODS = ("lanczos", "bicubic", "nearest")
"""Resampling without a model: for photographs, for smooth pictures, for pixel art."""
AUTO = "auto"
"""The method of the card of the clip's model (`Card.upscale_by`), as far as it reaches the scale; else Lanczos."""
NETWORK = "network"
"""The shipped super-resolution network (post/super_resolution)."""
FRAME_METHODS = (*PIXEL_METHODS, NETWORK)
"""Methods that take nothing but frames and a scale. In requests, AUTO stands for one of them."""
NETWORK_SCALE = 4
"""Default and maximum scale of the shipped super-resolution network."""
PARTNER = "xl"
"""The model trained to upscale clips of the request's own model (`Card.upscaler`)."""
SCALE, MAX_SCALE = 2, 16
"""Default and maximum scale of a pixel method."""
STRENGTH = 0.7
"""Default strength of an upscale by a model; Zeroscope's XL pass is used with 0.6 to 0.85."""

Scale = Annotated[int | float, Field(ge=1, le=MAX_SCALE)]
OfModel = ("strength", "width", "height", "steps", "guidance", "options")
_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+")


class Upscale(Value):
    """One upscale step of a request. by: auto, a pixel method, `network`, `xl`, or a model that accepts a source clip.
    scale: the factor for width and height; defaults to 2 for auto and a pixel method, 4 for `network`, and for a model
    to the size it was trained on, in the clip's aspect. The other fields are for models: width and height instead of a
    scale; strength: the share of the noise schedule that is run."""

    by: Annotated[str, Field(min_length=1)] = AUTO
    scale: Scale | None = None
    strength: Annotated[float, Field(ge=0.05, le=1)] | None = None
    width: Annotated[int, Field(ge=1, le=16384)] | None = None
    height: Annotated[int, Field(ge=1, le=16384)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def is_model(self) -> bool:
        return self.by not in (AUTO, *FRAME_METHODS)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Upscale:
        given = [name for name in OfModel if getattr(self, name) not in (None, {})]
        if not self.is_model and given:
            raise ValueError(f"{self.by} takes only a scale; {given[0]} requires a model as `by`")
        if self.by == NETWORK and self.scale is not None and self.scale > NETWORK_SCALE:
            raise ValueError(f"the network upscales at most {NETWORK_SCALE} times")
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height must be given together")
        if self.scale is not None and self.width is not None:
            raise ValueError("give a scale, or width and height, not both")
        return self


def parse_step(text: str) -> dict[str, Any]:
    """Parse a step from its short form: "4" (scale, by the default method), "nearest:4", "lanczos", or a model."""
    method, colon, times = text.strip().partition(":")
    if _NUMBER.fullmatch(text.strip()):
        return {"by": AUTO, "scale": _number(text)}
    if method in (AUTO, *FRAME_METHODS) and colon and _NUMBER.fullmatch(times):
        return {"by": method, "scale": _number(times)}
    return {"by": text}


def _number(text: str) -> int | float:
    return int(text) if text.strip().isdecimal() else float(text)


def steps_of(value: Any) -> Any:
    """The value of a request's `upscale` as a tuple of steps. A step may be a number, a short form (`parse_step`) or
    named fields; a single step needs no list. Other values are returned unchanged for pydantic to refuse."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(_step(each) for each in value)
    return (_step(value),) if _is_step(value) else value


def _is_step(value: Any) -> bool:
    return isinstance(value, Real | str | dict | Upscale) and not isinstance(value, bool)


def _step(value: Any) -> Any:
    if isinstance(value, str):
        return parse_step(value)
    if isinstance(value, Real) and not isinstance(value, bool):
        return {"by": AUTO, "scale": value}
    return value
