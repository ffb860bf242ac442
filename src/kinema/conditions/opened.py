"""Every input of a plan is opened when it is planned: its kind, its size, that it can be read. No torch, no weights.

What is found here would be found after seconds of loading otherwise.
"""

from __future__ import annotations

from typing import Any

from ..core.errors import MediaError
from ..core.plan import Plan
from . import inputs


def check(plan: Plan) -> None:
    """MediaError where a picture, clip or sound that the plan names cannot be read, or is of another kind. Pictures are
    decoded, of clips the headers are. The clip that decides a plan's length was opened by whoever planned it."""
    for condition in plan.conditions:
        for media in _pictures(condition):
            inputs.picture(media)
        for media in _clips(condition, plan):
            if inputs.info(media).num_frames < 1:
                raise MediaError(f"{media[:200]}: no frames in it.")
        if condition.kind == "audio":
            inputs.check_sound(condition.track)


def _pictures(condition: Any) -> tuple[str, ...]:
    if condition.kind == "reference":
        return condition.images
    return (condition.image,) if condition.kind in ("image", "mask") and condition.image is not None else ()


def _clips(condition: Any, plan: Plan) -> tuple[str, ...]:
    if condition.kind == "source":
        return () if plan.canvas != "model" else (condition.video,)
    if condition.kind == "continue":
        return (condition.clip,)
    return (condition.video,) if condition.kind in ("mask", "control") and condition.video is not None else ()
