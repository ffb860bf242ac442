"""Patches made once and held: carried along the camera's motion from the frame that they were made for.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..media.masks import box_around, grown
from .camera import View
from .candidate import projected, taken
from .hole import Hole
from .membrane import membrane, smooth
from .patch import Patching, patched, surface
from .trust import near_misfit, trusted

APART_PX, MARGIN_PX = 8, 64
"""Places closer than twice the first are patched together; so much around them is looked at, at least."""


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

    def lay(self, hole: Hole, made_HWC: np.ndarray, rest_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """made_HWC with what is held of rest_HW laid in, and where nothing is held: new patches are to be made there.
        made_HWC: float32, right outside rest_HW and the other holes. Where the keyframe no longer fits around the hole
        something passes: that place is filled for this frame alone."""
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
        return out_HWC, rest_HW & ~there_HW

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


def renewed(frame_HWC: np.ndarray, where_HW: np.ndarray, known_HW: np.ndarray, way: Patching) -> np.ndarray:
    """A uint8 frame with new patches at places, each group of them made of as much around it as it is large."""
    out_HWC = frame_HWC.copy()
    count, names_HW = cv2.connectedComponents(grown(where_HW, APART_PX).astype(np.uint8))
    for k in range(1, count):
        box = box_around(where_HW & (names_HW == k))
        if box is None:
            continue
        margin = max(MARGIN_PX, box[2] - box[0], box[3] - box[1])
        part = (slice(max(0, box[1] - margin), box[3] + margin), slice(max(0, box[0] - margin), box[2] + margin))
        hole_HW = where_HW[part] & (names_HW[part] == k)
        if known_HW[part].any():
            made_HWC = patched(out_HWC[part].astype(np.float32), hole_HW, known_HW[part], way)
            out_HWC[part][hole_HW] = np.rint(made_HWC.clip(0, 255))[hole_HW]
            known_HW = known_HW | (where_HW & (names_HW == k))
    return out_HWC
