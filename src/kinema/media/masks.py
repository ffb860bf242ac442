"""Operations on masks of shape (H, W): bounding box, dilation, erosion."""

from __future__ import annotations

import numpy as np


def box_around(mask_HW: np.ndarray) -> tuple[int, int, int, int] | None:
    """The bounding box (left, top, right, bottom) in pixels, half-open, of the nonzero pixels; None if all are 0."""
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def grown(mask_HW: np.ndarray, radius_px: int) -> np.ndarray:
    """Dilate a bool mask by `radius_px`."""
    import cv2

    return cv2.dilate(mask_HW.astype(np.uint8), disc(radius_px)).astype(bool)


def shrunk(mask_HW: np.ndarray, radius_px: int) -> np.ndarray:
    """Erode a bool mask by `radius_px`, but not at the frame's edges."""
    import cv2

    return cv2.erode(mask_HW.astype(np.uint8), disc(radius_px)).astype(bool)


def disc(radius_px: int) -> np.ndarray:
    """A disc as OpenCV structuring element, (2 r + 1, 2 r + 1) uint8."""
    import cv2

    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
