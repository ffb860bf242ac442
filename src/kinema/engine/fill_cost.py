"""The expected cost of filling a clip from its own frames."""

from __future__ import annotations

from ..core.plan import Plan
from .timed import Work

START_S, FRAME_S, PIXEL_S = 0.8, 0.05, 1.5e-7
"""Seconds before the first frame, for each frame, and for each of its pixels, until a clip has been measured."""
STILL_S, MOVING_S = 0.3e-5, 3.5e-5
"""Processor seconds for each masked pixel: if the camera's motion alone aligns other frames, and if none of them.
Measured on discs of 0.11 and 0.22 of the height (benchmarks/fill.py): 0.3e-5 over a static camera, 3.1e-5 and 3.8e-5
over a drive."""
MASKED = 0.1
"""The masked fraction of a clip that was not surveyed."""
SHADOW = (1.5, 4.0)
"""How many times as long it takes to find and fill a shadow too, over a static and a moving camera: 1.5 and 4.4 were
measured (benchmarks/composited.py shadow)."""
READ = 0.5
"""The share of a frame's cost, apart from its masked pixels, that is due when it is read ahead."""


def fill_work(plan: Plan, done: int = 0) -> Work:
    """Return the expected work, from the number of pixels and of masked pixels of the clip, and from the fraction of
    alignments that the survey found to be fine; earlier runs with as many masked pixels correct it. done: number of
    frames that are filled already and only read again."""
    from .fill import frames_ahead, shadows

    pixels = plan.frames * plan.size[0] * plan.size[1]
    left = (plan.frames - done) / plan.frames
    whole_s = FRAME_S * plan.frames + PIXEL_S * pixels
    masked = left * (plan.masked or MASKED) * pixels
    hole_s = STILL_S + (MOVING_S - STILL_S) * plan.aligned
    times = SHADOW[0] + (SHADOW[1] - SHADOW[0]) * plan.aligned if shadows(plan) else 1.0
    work_s = (left * whole_s + hole_s * masked) * times
    read_s = READ * whole_s * frames_ahead(plan) / plan.frames
    share = min(0.9, read_s / (read_s + work_s))
    parts = (("read", share), ("fill", 1.0 - share))
    return Work("fill", parts, START_S, read_s + work_s, masked, ahead=True)
