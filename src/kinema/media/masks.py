"""Arithmetic of masks that every room above needs: the box around one, wider, narrower. Masks are (H, W)."""

from __future__ import annotations

import numpy as np


def box_around(mask_HW: np.ndarray) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) in pixels, half-open, of what is not 0; None where all is 0."""
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def grown(mask_HW: np.ndarray, radius_px: int) -> np.ndarray:
    """A bool mask, wider by `radius_px` all around."""
    import cv2

    return cv2.dilate(mask_HW.astype(np.uint8), disc(radius_px)).astype(bool)


def shrunk(mask_HW: np.ndarray, radius_px: int) -> np.ndarray:
    """A bool mask, narrower by `radius_px`; what the frame's edge cuts off is not narrowed there."""
    import cv2

    return cv2.erode(mask_HW.astype(np.uint8), disc(radius_px)).astype(bool)


def disc(radius_px: int) -> np.ndarray:
    """A disc of this radius, (2 r + 1, 2 r + 1) uint8, as OpenCV dilates and erodes with."""
    import cv2

    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
