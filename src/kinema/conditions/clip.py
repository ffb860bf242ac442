"""Preparation for families without masks: the source clip and the adapters of a plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..core.errors import MediaError
from ..core.family import Prepared, Window
from ..core.plan import Plan
from . import inputs
from .image import cover, to_unit


def prepare(plan: Plan, window: Window | None = None) -> Prepared:
    """Prepare the first frames of the plan's source, cropped to the canvas, and its styles. window: replaces the
    source. Raises MediaError."""
    source: Any = next((each for each in plan.conditions if each.kind == "source"), None)
    styles = tuple((each.adapter, each.weight) for each in plan.conditions if each.kind == "style")
    if window is not None:
        return Prepared(source_BCFHW=torch.from_numpy(window.frames_FHWC).permute(3, 0, 1, 2)[None], styles=styles)
    if source is None:
        return Prepared(styles=styles)
    given_FHWC, _ = inputs.clip(source.video, stop=plan.frames)
    if len(given_FHWC) < plan.frames:
        raise MediaError(
            f"{source.video[:200]}: only {len(given_FHWC)} of the {plan.frames} requested frames are readable, "
            f"contrary to its header; request {len(given_FHWC)}, or rewrite the clip (`ffmpeg -i CLIP NEW.mp4`)."
        )
    fitted = np.stack([cover(frame, plan.height, plan.width) for frame in given_FHWC])
    return Prepared(source_BCFHW=to_unit(fitted).movedim(0, 1)[None], styles=styles)
