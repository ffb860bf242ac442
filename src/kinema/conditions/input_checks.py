"""Checks of a plan's inputs while planning: type, size, readability. Requires neither torch nor weights.

Without them, errors would appear only after the model is loaded.
"""

from __future__ import annotations

from typing import Any

from ..core.errors import MediaError
from ..core.plan import Plan
from . import inputs


def check(plan: Plan) -> None:
    """Raise MediaError if a picture, clip or sound of the plan cannot be read or has the wrong type. Pictures are
    decoded; of clips only headers are read. The clip that determines the plan's length is already checked."""
    for condition in plan.conditions:
        for media in _pictures(condition):
            if condition.kind != "mask" or inputs.masks(media) is None:
                inputs.picture(media)
        for media in _clips(condition, plan):
            if inputs.info(media).num_frames < 1:
                raise MediaError(f"{media[:200]}: contains no frames.")
        if condition.kind == "audio":
            inputs.check_sound(condition.track)


def _pictures(condition: Any) -> tuple[str, ...]:
    if condition.kind == "reference":
        return condition.images
    found = (getattr(condition, name, None) for name in ("image", "seen") if condition.kind in ("image", "mask"))
    return tuple(media for media in found if media is not None)


def _clips(condition: Any, plan: Plan) -> tuple[str, ...]:
    if condition.kind == "source":
        return () if plan.canvas != "model" else (condition.video,)
    if condition.kind == "continue":
        return (condition.clip,)
    return (condition.video,) if condition.kind in ("mask", "control") and condition.video is not None else ()
