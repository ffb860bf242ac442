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
from .patch import patched


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

    def fill(self, hole: Hole, made_HWC: np.ndarray, rest_HW: np.ndarray) -> tuple[np.ndarray, bool]:
        """made_HWC with rest_HW filled, and whether new patches had to be made. made_HWC: float32, right outside
        rest_HW and the other holes."""
        known_HW = (hole.known_HW | hole.mask_HW) & ~rest_HW
        out_HWC, open_HW = made_HWC.copy(), rest_HW
        if self.key is not None and self.patched_HW is not None:
            place_HW2 = projected(hole.grid_HW2, self.to_33)
            there_HW = cv2.remap(self.patched_HW.astype(np.float32), place_HW2, None, cv2.INTER_LINEAR) > 0.5
            old_HW = there_HW & rest_HW
            if old_HW.any():
                old_HWC = taken(self.key, place_HW2)
                around_HW = there_HW & ~rest_HW & known_HW
                if around_HW.sum() > 8:
                    off_HWC = smooth(made_HWC - old_HWC, around_HW, 3.0)
                    old_HWC = old_HWC + membrane(off_HWC, around_HW)
                out_HWC[old_HW] = old_HWC[old_HW]
                open_HW = rest_HW & ~old_HW
        if not open_HW.any():
            return out_HWC, False
        known_HW = known_HW | (rest_HW & ~open_HW)
        if not known_HW.any():
            return out_HWC, False
        new_HWC = patched(out_HWC, open_HW, known_HW)
        out_HWC[open_HW] = new_HWC[open_HW]
        return out_HWC, True

    def keep(self, frame: View, patched_HW: np.ndarray) -> None:
        """This filled frame is the keyframe from now on."""
        self.key, self.patched_HW, self.to_33 = frame, patched_HW, np.eye(3)
