"""Stability in time: weights and smooth fills that follow the previous frame instead of switching.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from .camera import View
from .candidate import projected, sampled
from .hole import Hole

FOLLOW = 0.5
"""How much of a change of weights appears in the next frame: sources are crossfaded over several frames."""
RENEW, EDGE_PX = 0.35, 4.0
"""How much of a smooth fill is new in each frame, inside; at the edge all of it is, and this far inside still some."""
LAG = 20.0
"""Of 255: a smooth fill differs from the new one by this at most, so that it follows an object that enters the rim."""
NEVER = -1.0
"""The weight of pixels outside the mask."""


class PreviousFrame:
    """The previous filled frame with its weights, along the camera motion."""

    def __init__(self) -> None:
        self.frame: View | None = None  # mask_HW: what was filled, from any source
        self.weights: list[np.ndarray] = []
        self.to_33 = np.eye(3)

    def advance(self, step_33: np.ndarray | None) -> None:
        """Go to the next frame. step_33: the homography from the present one to it; None forgets the frame."""
        if step_33 is None:
            self.frame = None
        else:
            self.to_33 = np.linalg.inv(step_33)

    def keep(self, frame: View, weights: list[np.ndarray]) -> None:
        """Make this filled frame the previous one. weights: each (H, W) float32, NEVER outside the mask."""
        self.frame, self.weights = frame, weights

    def followed(self, hole: Hole, weight_HW: np.ndarray, which: int) -> np.ndarray:
        """The weights of this frame, changed by FOLLOW of the difference from the previous ones."""
        if self.frame is None:
            return weight_HW
        place_HW2 = projected(hole.grid_HW2, self.to_33)
        old_HW = cv2.remap(
            self.weights[which], place_HW2, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=NEVER
        )
        return np.where(old_HW < 0, weight_HW, old_HW + FOLLOW * (weight_HW - old_HW)).astype(np.float32)

    def renewed(self, hole: Hole, picture_HWC: np.ndarray) -> np.ndarray:
        """A smooth fill, float32, that follows the previous frame's fill inside and the new one at the hole's edge."""
        if self.frame is None:
            return picture_HWC
        place_HW2 = projected(hole.grid_HW2, self.to_33)
        was_HW = cv2.remap(self.frame.mask_HW.astype(np.uint8), place_HW2, None, cv2.INTER_NEAREST) > 0
        depth_HW = cv2.distanceTransform((was_HW & hole.mask_HW).astype(np.uint8), cv2.DIST_L2, 3)
        share_HW1 = np.maximum(RENEW, 1 - depth_HW / EDGE_PX)[..., None]
        off_HWC = (1 - share_HW1) * (sampled(self.frame, place_HW2) - picture_HWC)
        return picture_HWC + off_HWC.clip(-LAG, LAG)
