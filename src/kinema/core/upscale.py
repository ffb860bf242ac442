"""Upscale: how a finished clip is made larger, step by step. Plain values.

A step resamples pixels (`PIXEL_METHODS`), or a model upscales: it takes the resampled clip part of the way back to
noise and denoises it with the clip's own prompt.
"""

from __future__ import annotations

import re
from numbers import Real
from typing import Annotated, Any

from pydantic import Field, JsonValue, model_validator

from .conditions import Value

PIXEL_METHODS = ("lanczos", "bicubic", "nearest")
"""Ways to resample, without a model: for photographs, for smooth pictures, for pixel drawings."""
PARTNER = "xl"
"""Stands for the model that was made to upscale clips of the request's own model (`Card.upscaler`)."""
SCALE, MAX_SCALE = 2, 16
"""What a pixel method does by default, and at most."""
STRENGTH = 0.7
"""How far a model takes a clip back to noise by default; Zeroscope's XL pass is used from 0.6 to 0.85."""

Scale = Annotated[int | float, Field(ge=1, le=MAX_SCALE)]
OfModel = ("strength", "width", "height", "steps", "guidance", "options")
_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+")


class Upscale(Value):
    """One step of a request. by: a pixel method, `xl`, or a model that begins with a clip. scale: how many times as
    wide and high; of a pixel method 2 by default, of a model what gives the size it was trained on, in the clip's
    shape. All other fields are a model's: width and height instead of a scale; strength: how far back to noise."""

    by: Annotated[str, Field(min_length=1)] = "lanczos"
    scale: Scale | None = None
    strength: Annotated[float, Field(ge=0.05, le=1)] | None = None
    width: Annotated[int, Field(ge=1, le=16384)] | None = None
    height: Annotated[int, Field(ge=1, le=16384)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def is_pixels(self) -> bool:
        return self.by in PIXEL_METHODS

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Upscale:
        given = [name for name in OfModel if getattr(self, name) not in (None, {})]
        if self.is_pixels and given:
            raise ValueError(f"{self.by} resamples pixels and takes a scale alone, no {given[0]}; `by` names a model")
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height are given together")
        if self.scale is not None and self.width is not None:
            raise ValueError("a scale, or width and height, not both")
        return self


def parse_step(text: str) -> dict[str, Any]:
    """A step as it is typed: "4" (times as large, by Lanczos), "nearest:4", "lanczos", or a model."""
    method, colon, times = text.strip().partition(":")
    if _NUMBER.fullmatch(text.strip()):
        return {"by": "lanczos", "scale": _number(text)}
    if method in PIXEL_METHODS and colon and _NUMBER.fullmatch(times):
        return {"by": method, "scale": _number(times)}
    return {"by": text}


def _number(text: str) -> int | float:
    return int(text) if text.strip().isdecimal() else float(text)


def steps_of(value: Any) -> Any:
    """The value of a request's `upscale` as a tuple of steps. A step may be a number, the words of `parse_step` or
    named fields; one alone needs no list. What is none of these comes back as it is, to be refused with its place."""
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
        return {"by": "lanczos", "scale": value}
    return value
