"""Prepare the conditions of CogVideoX as pixels: a source clip, or the picture for the first frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ...conditions import clip, image, inputs
from ...core.family import Prepared, Window
from ...core.plan import Plan
from .tora.prepare import pictures


@dataclass(frozen=True)
class CogVideoXPrepared(Prepared):
    """flow_BCFHW: pictures of optical flow for a model that is guided by motion (motion.py); None for others."""

    flow_BCFHW: torch.Tensor | None = None


def prepare(plan: Plan, window: Window | None = None) -> CogVideoXPrepared:
    """Read the inputs and fit them to the canvas. A window replaces the source. MediaError for unreadable files."""
    found = clip.prepare(plan, window)
    condition: Any = next((each for each in plan.conditions if each.kind == "image"), None)
    first = None
    if condition is not None:
        first = image.still(inputs.picture(condition.image), plan.height, plan.width)
    return CogVideoXPrepared(found.source_BCFHW, first, found.styles, pictures(plan))
