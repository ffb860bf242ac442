"""The expected cost of filling a clip from its own frames."""

from __future__ import annotations

from ..core.plan import Plan
from .timed import Work

START_S, FRAME_S, PIXEL_S = 0.8, 0.02, 1.0e-6
"""Seconds before the first frame, for each frame, and for each pixel of a frame, until a clip has been measured."""


def fill_work(plan: Plan) -> Work:
    """Return the expected work, from the number of pixels of the clip."""
    pixels = plan.frames * plan.size[0] * plan.size[1]
    return Work("fill", (("fill", 1.0),), START_S, FRAME_S * plan.frames + PIXEL_S * pixels, pixels, ahead=True)
