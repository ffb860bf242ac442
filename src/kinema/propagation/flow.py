"""Dense flow between two pictures of one place that are already nearly aligned.

Legend: H W pixels, C channels; flow (H, W, 2) is (x, y) in px.
"""

from __future__ import annotations

import threading

import cv2
import numpy as np

from .membrane import longest, membrane, smooth

SMALLEST_PX = 32
"""Dense inverse search requires pictures of this size; the flow of smaller ones is zero."""
BACK_PX, BACK_SHARE = 0.5, 0.05
"""Tolerance of the forward-backward check: constant, and as a fraction of the flow's length."""
SMOOTH_PX = 4.0


class DenseFlow:
    """Dense inverse search (Kroeger et al., ECCV 2016). Several threads may use it at once."""

    def __init__(self) -> None:
        self.of_thread = threading.local()

    def between(self, one_HWC: np.ndarray, other_HWC: np.ndarray, where_HW: np.ndarray) -> np.ndarray:
        """Flow from one picture (float32 RGB) to the other. Both are assumed to be equal outside where_HW."""
        one_HW = gray(one_HWC)
        return self._calc(one_HW, np.where(where_HW, gray(other_HWC), one_HW))

    def around(self, one_HWC: np.ndarray, other_HWC: np.ndarray, where_HW: np.ndarray, most_px: float) -> np.ndarray:
        """Smooth flow from one picture to the other: measured in where_HW with a forward-backward check, completed
        elsewhere by a membrane. Flow longer than most_px belongs to an object that moves by itself and is ignored."""
        known_HW2 = np.stack([gray(one_HWC), gray(other_HWC)], -1).astype(np.float32)
        both_HW2 = membrane(known_HW2, where_HW).clip(0, 255).astype(np.uint8)
        one_HW, other_HW = np.ascontiguousarray(both_HW2[..., 0]), np.ascontiguousarray(both_HW2[..., 1])
        ahead_HW2, back_HW2 = self._calc(one_HW, other_HW), self._calc(other_HW, one_HW)
        off_HW2 = ahead_HW2 + shifted(back_HW2, ahead_HW2)
        length_HW = longest(ahead_HW2)
        sure_HW = where_HW & (longest(off_HW2) < BACK_PX + BACK_SHARE * length_HW) & (length_HW < most_px)
        near_HW = cv2.GaussianBlur(sure_HW.astype(np.float32), (0, 0), SMOOTH_PX) > 0.05
        return membrane(smooth(ahead_HW2, sure_HW, SMOOTH_PX), near_HW & where_HW)

    def _calc(self, one_HW: np.ndarray, other_HW: np.ndarray) -> np.ndarray:
        if min(one_HW.shape) < SMALLEST_PX:
            return np.zeros((*one_HW.shape, 2), np.float32)
        if not hasattr(self.of_thread, "search"):
            self.of_thread.search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        return self.of_thread.search.calc(one_HW, other_HW, None)


def gray(picture_HWC: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.clip(picture_HWC, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)


def shifted(picture: np.ndarray, flow_HW2: np.ndarray) -> np.ndarray:
    """picture(x + flow(x)), linear."""
    height, width = flow_HW2.shape[:2]
    grid_HW2 = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    return cv2.remap(
        picture, (grid_HW2 + flow_HW2).astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
