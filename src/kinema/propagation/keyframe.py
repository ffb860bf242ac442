"""Patches made once, for a keyframe, and carried along the camera motion from there.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..media.masks import box_around, grown
from .camera import View
from .candidate import projected, sampled
from .hole import Hole
from .membrane import membrane, smooth
from .patch import Patching, is_thin, patched, surface
from .trust import confidence, rim_misfit

APART_PX, MARGIN_PX = 8, 64
"""Areas closer than twice the first are patched together; least margin of the surroundings that patches come from."""
SEAM_PX = 3.0
DOUBT = 2.0
"""Patches are no measurement of the scene: their misfit in the rim counts so many times."""


class PatchedKeyframe:
    """The frame that patches were last made for, and the homography from the present frame to it."""

    def __init__(self) -> None:
        self.key: View | None = None
        self.patched_HW: np.ndarray | None = None
        self.to_33 = np.eye(3)  # from the present frame to the keyframe

    def advance(self, step_33: np.ndarray | None) -> None:
        """Go to the next frame. step_33: the homography from the present one to it; None forgets the keyframe."""
        if step_33 is None:
            self.key = None
        else:
            self.to_33 = self.to_33 @ np.linalg.inv(step_33)
            self.to_33 /= self.to_33[2, 2]

    def patches(self, hole: Hole, where_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(float32 picture of the part, where it has patches, bool, their weight, float32 in [0, 1]). where_HW: the
        pixels to fill. The weight is small where the keyframe no longer fits around the hole: an object passes."""
        there_HW, weight_HW = np.zeros_like(where_HW), np.zeros(where_HW.shape, np.float32)
        if self.key is None or self.patched_HW is None:
            return hole.true_HWC, there_HW, weight_HW
        place_HW2 = projected(hole.grid_HW2, self.to_33)
        there_HW = _at(self.patched_HW, place_HW2) & where_HW
        if not there_HW.any():
            return hole.true_HWC, there_HW, weight_HW
        picture_HWC, seen_HW = sampled(self.key, place_HW2), _at(~self.key.mask_HW | self.patched_HW, place_HW2)
        weight_HW = confidence(hole, DOUBT * rim_misfit(hole, picture_HWC, seen_HW), seen_HW, deep=False)
        rim_HW = seen_HW & hole.rim_HW
        if rim_HW.any():
            picture_HWC = picture_HWC + membrane(smooth(hole.true_HWC - picture_HWC, rim_HW, SEAM_PX), rim_HW)
        return picture_HWC, there_HW, weight_HW * there_HW

    def keep(self, frame: View, patched_HW: np.ndarray) -> None:
        """Make this filled frame the keyframe."""
        self.key, self.patched_HW, self.to_33 = frame, patched_HW, np.eye(3)


def _at(mask_HW: np.ndarray, place_HW2: np.ndarray) -> np.ndarray:
    return cv2.remap(mask_HW.astype(np.float32), place_HW2, None, cv2.INTER_LINEAR) > 0.5


def with_patches(frame_HWC: np.ndarray, where_HW: np.ndarray, known_HW: np.ndarray, patching: Patching) -> np.ndarray:
    """A uint8 frame with new patches in an area, each connected part of it from surroundings at least as wide; thin
    parts are filled by a smooth surface."""
    out_HWC, side_px = frame_HWC.copy(), min(where_HW.shape)
    count, names_HW = cv2.connectedComponents(grown(where_HW, APART_PX).astype(np.uint8))
    for k in range(1, count):
        box = box_around(where_HW & (names_HW == k))
        if box is None:
            continue
        margin = max(MARGIN_PX, box[2] - box[0], box[3] - box[1])
        part = (slice(max(0, box[1] - margin), box[3] + margin), slice(max(0, box[0] - margin), box[2] + margin))
        hole_HW = where_HW[part] & (names_HW[part] == k)
        if known_HW[part].any():
            given_HWC = out_HWC[part].astype(np.float32)
            if is_thin(hole_HW, side_px):
                made_HWC = surface(given_HWC, hole_HW, known_HW[part])
            else:
                made_HWC = patched(given_HWC, hole_HW, known_HW[part], patching)
            out_HWC[part][hole_HW] = np.rint(made_HWC.clip(0, 255))[hole_HW]
            known_HW = known_HW | (where_HW & (names_HW == k))
    return out_HWC
