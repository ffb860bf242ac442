"""The displacement of each pixel between two pictures, by OpenCV. Legend: H W height and width; 2 (x, y) in pixels, x
to the right, y down.

Source: Kroeger and others, "Fast optical flow using dense inverse search", 2016, in OpenCV's implementation.
"""

from __future__ import annotations

import numpy as np

FINE_UP_TO_PX = 544
"""Pictures with a shorter side up to this are matched pixel by pixel; larger ones at half size, four times as fast."""
CHANGE = 1.0
"""Blurred difference between two frames, in gray levels of 256, above which a pixel has changed."""
DETAIL = 24
"""Sobel gradient above which a pixel has detail, so that its motion would be visible."""
SMALLEST_PX = 32
"""Minimum size of the method: smaller pictures are scaled up for it."""


def displacement(from_HW: np.ndarray, to_HW: np.ndarray, fast: bool = False) -> np.ndarray:
    """The displacement of each pixel between two uint8 gray pictures: float32 (H, W, 2), in px. `fast`: ten times as
    fast and less accurate."""
    import cv2

    # The result of the method depends on the number of threads.
    cv2.setNumThreads(1)
    height, width = from_HW.shape
    preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if fast else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    method = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
    if not fast:
        method.setFinestScale(0 if min(height, width) <= FINE_UP_TO_PX else 1)
    wide, tall = max(width, SMALLEST_PX), max(height, SMALLEST_PX)
    if (wide, tall) == (width, height):
        flow_HW2 = method.calc(from_HW, to_HW, None)
    else:
        flow_HW2 = method.calc(*(cv2.resize(each, (wide, tall)) for each in (from_HW, to_HW)), None)
        flow_HW2 = cv2.resize(flow_HW2, (width, height)) * np.array([width / wide, height / tall], np.float32)
    return flow_HW2 * may_have_moved(from_HW, to_HW)[..., None]


def may_have_moved(from_HW: np.ndarray, to_HW: np.ndarray) -> np.ndarray:
    """Return where motion is possible, float32 (H, W): 1 where it is, 0 elsewhere, with soft borders.

    In textureless areas the method extends the motion of a nearby object, or amplifies codec noise. If the camera is
    still (most pixels with detail are unchanged), pixels that are unchanged and not between changed ones in their row
    or column (as in the plain interior of a moving object) have no motion.
    """
    import cv2

    spread_px = max(1.0, min(from_HW.shape) / 240)
    change_HW = cv2.GaussianBlur(cv2.absdiff(from_HW, to_HW).astype(np.float32), (0, 0), spread_px)
    changed_HW = change_HW > CHANGE
    across_HW, down_HW = cv2.spatialGradient(from_HW)
    detailed_HW = np.abs(across_HW) + np.abs(down_HW) > DETAIL
    if 2 * (changed_HW & detailed_HW).sum() > detailed_HW.sum():
        return np.ones(from_HW.shape, np.float32)
    between_HW = np.zeros_like(changed_HW)
    for axis in (0, 1):
        before_HW = np.maximum.accumulate(changed_HW, axis)
        after_HW = np.flip(np.maximum.accumulate(np.flip(changed_HW, axis), axis), axis)
        between_HW |= before_HW & after_HW
    return cv2.GaussianBlur(between_HW.astype(np.float32), (0, 0), spread_px)
