"""Patches made once and held: carried along the camera's motion from the frame that they were made for.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from .camera import View
from .candidate import projected, taken
from .hole import Hole
from .membrane import membrane, smooth
from .patch import patched, surface
from .trust import near_misfit, trusted


class Held:
    """The frame that patches were made for last (the keyframe), and the way to it from the present one."""

    def __init__(self) -> None:
        self.key: View | None = None
        self.patched_HW: np.ndarray | None = None
        self.to_33 = np.eye(3)  # from the present frame to the keyframe

    def advance(self, step_33: np.ndarray | None) -> None:
        """The next frame comes. step_33: from the present one to it; None: nothing is held any longer."""
        if step_33 is None:
            self.key = None
        else:
            self.to_33 = self.to_33 @ np.linalg.inv(step_33)
            self.to_33 /= self.to_33[2, 2]

    def fill(self, hole: Hole, made_HWC: np.ndarray, rest_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """made_HWC with rest_HW filled, and where new patches were made. made_HWC: float32, right outside rest_HW and
        the other holes. Where the keyframe no longer fits around the hole something passes: that place is filled for
        this frame alone."""
        known_HW = (hole.known_HW | hole.mask_HW) & ~rest_HW
        out_HWC, there_HW = made_HWC.copy(), np.zeros_like(rest_HW)
        if self.key is not None and self.patched_HW is not None:
            place_HW2 = projected(hole.grid_HW2, self.to_33)
            there_HW = _at(self.patched_HW, place_HW2) & rest_HW
            if there_HW.any():
                old_HWC, seen_HW = taken(self.key, place_HW2), _at(~self.key.mask_HW | self.patched_HW, place_HW2)
                fits_HW = there_HW & trusted(hole, near_misfit(hole, old_HWC, seen_HW), seen_HW)
                around_HW = seen_HW & hole.rim_HW
                if around_HW.any():
                    off_HWC = smooth(hole.true_HWC - old_HWC, around_HW, 3.0)
                    old_HWC = old_HWC + membrane(off_HWC, around_HW)
                out_HWC[fits_HW] = old_HWC[fits_HW]
                known_HW |= fits_HW
                out_HWC = passing(out_HWC, there_HW & ~fits_HW, known_HW)
        new_HW = rest_HW & ~there_HW
        if new_HW.any() and known_HW.any():
            new_HWC = patched(out_HWC, new_HW, known_HW & ~new_HW)
            out_HWC[new_HW] = new_HWC[new_HW]
        return out_HWC, new_HW

    def keep(self, frame: View, patched_HW: np.ndarray) -> None:
        """This filled frame is the keyframe from now on."""
        self.key, self.patched_HW, self.to_33 = frame, patched_HW, np.eye(3)


def _at(mask_HW: np.ndarray, place_HW2: np.ndarray) -> np.ndarray:
    return cv2.remap(mask_HW.astype(np.float32), place_HW2, None, cv2.INTER_LINEAR) > 0.5


def passing(picture_HWC: np.ndarray, where_HW: np.ndarray, known_HW: np.ndarray) -> np.ndarray:
    """The picture with places filled for one frame alone, from what is known of it."""
    if not where_HW.any() or not known_HW.any():
        return picture_HWC
    made_HWC = surface(picture_HWC, where_HW, known_HW & ~where_HW)
    return np.where(where_HW[..., None], made_HWC, picture_HWC)
