"""Prepare the picture for the first frame."""

from __future__ import annotations

from typing import Any

from ....conditions import image, inputs
from ....core.family import Prepared
from ....core.plan import Plan


def prepare(plan: Plan) -> Prepared:
    """Read the picture and fit it to the canvas. MediaError for unreadable files."""
    first: Any = next((each for each in plan.conditions if each.kind == "image"), None)
    if first is None:
        return Prepared()
    return Prepared(first_BCHW=image.still(inputs.picture(first.image), plan.height, plan.width))
