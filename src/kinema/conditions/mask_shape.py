"""Coarser masks, frame by frame, so that the outline does not reveal the removed object to the model.

The modes are VACE's. `hull` is the convex hull of the whole mask in a frame, `bbox` its bounding box. The amounts of
`_expand` are Kinema's:

bbox_expand        each side of the box moves outwards by `ratio` times the box's size in that direction, up to the
                   frame's edge.
hull_expand,       dilated by ellipses in 5 steps (as in VACE), so that the size, the mean of the bounding box's width
original_expand    and height, grows by `ratio`: by half of that on each side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np

from ..core.conditions import MaskShape
from ..core.errors import RequestError
from ..media.masks import box_around, disc

STEPS = 5
HARD = 0.5
"""Threshold of soft values."""

NOISE = 16 / 255
"""Amplitude of codec noise near black and white."""
CORE = 64 / 255
"""Connected gray areas without a pixel of at least this brightness are removed as noise."""


def denoised(mask_HW: np.ndarray) -> np.ndarray:
    """Remove codec noise from a mask, float32 in [0, 1]: values within NOISE of black and white become exactly 0 and 1,
    and soft areas without a CORE are removed. Pixels with 0 are not changed by an edit."""
    import cv2

    out_HW = np.where(mask_HW < NOISE, np.float32(0), np.where(mask_HW > 1 - NOISE, np.float32(1), mask_HW))
    if ((out_HW > 0) & (out_HW < CORE)).any():
        _, part_HW = cv2.connectedComponents((out_HW > 0).astype(np.uint8), connectivity=8)
        real = np.zeros(int(part_HW.max()) + 1, bool)
        real[part_HW[out_HW >= CORE]] = True
        out_HW = np.where(real[part_HW], out_HW, np.float32(0))
    return out_HW.astype(np.float32)


def reshape(mask_FHW: np.ndarray, shape: MaskShape, ratio: float = 0.3) -> np.ndarray:
    """Reshape a mask: (F, H, W) float32 in [0, 1], 1 = generate, both input and result.

    Only "original" preserves soft values; the other shapes are 0 or 1. An empty frame stays empty. Raises RequestError
    for an unknown shape or a ratio outside [0, 1].
    """
    if shape not in get_args(MaskShape):
        legal = ", ".join(get_args(MaskShape))
        raise RequestError(f"Unknown mask shape {shape!r}.", field="shape", value=shape, legal=legal)
    if not 0 <= ratio <= 1:
        nearest = 0.0 if ratio < 0 else 1.0
        raise RequestError(f"ratio = {ratio:g}.", field="ratio", value=ratio, legal="0 to 1", nearest=nearest)
    if shape == "original":
        return np.asarray(mask_FHW, np.float32)
    form = _FORMS[shape.removesuffix("_expand")]
    grow = ratio if shape.endswith("_expand") else 0.0
    out_FHW = np.zeros(mask_FHW.shape, np.float32)
    for mask_HW, out_HW in zip(mask_FHW, out_FHW):
        hard_HW = (mask_HW > HARD).astype(np.uint8)
        if hard_HW.any():
            out_HW[:] = form(hard_HW, grow)
    return out_FHW


def _box(mask_HW: np.ndarray, grow: float) -> np.ndarray:
    found = box_around(mask_HW)
    assert found is not None
    left, top, right, bottom = found
    wide, tall = round(grow * (right - left)), round(grow * (bottom - top))
    box_HW = np.zeros_like(mask_HW)
    box_HW[max(0, top - tall) : bottom + tall, max(0, left - wide) : right + wide] = 1
    return box_HW


def _hull(mask_HW: np.ndarray, grow: float) -> np.ndarray:
    import cv2

    corners = cv2.convexHull(cv2.findNonZero(mask_HW))
    return _dilated(cv2.fillConvexPoly(np.zeros_like(mask_HW), corners, 1), grow)


def _dilated(mask_HW: np.ndarray, grow: float) -> np.ndarray:
    import cv2

    found = box_around(mask_HW)
    assert found is not None
    left, top, right, bottom = found
    radius_px = grow * (right - left + bottom - top) / 4
    done_px = 0
    for step in range(1, STEPS + 1):
        due_px = round(radius_px * step / STEPS) - done_px
        if due_px:
            mask_HW, done_px = cv2.dilate(mask_HW, disc(due_px)), done_px + due_px
    return mask_HW


_FORMS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {"original": _dilated, "hull": _hull, "bbox": _box}
