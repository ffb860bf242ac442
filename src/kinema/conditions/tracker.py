"""An object followed from frame to frame with OpenCV alone: optical flow, GrabCut, and a memory of how it looked."""

from __future__ import annotations

import cv2
import numpy as np

from . import cut_out
from .carry import Carried, Flow, moved
from .find_again import Portrait
from .mask_shape import box_around

EATEN, SWOLLEN = 0.75, 1.4
"""A correction that leaves less, or makes more, of what the flow says is there is not believed."""
REACH = 0.05
"""Half the width of the band in which the outline is put right, as a share of the root of the object's area."""
HIDDEN = 0.88
"""Less than this share of the object's whole shape in sight: the shape is remembered."""
LOST = 0.12
PATIENCE = 60
"""Frames that a whole shape is remembered for while only a part of it is seen."""


class Tracker:
    """The state between two frames. `mask_HW`: bool, where the object is seen in the newest frame."""

    def __init__(self, picture_HWC: np.ndarray, mask_HW: np.ndarray) -> None:
        self.picture_HWC, self.mask_HW, self.whole_HW = picture_HWC, mask_HW, mask_HW
        self.flow = Flow()
        self.first = cut_out.remember(picture_HWC, mask_HW)
        self.recent = self.first
        self.portrait = Portrait.of(picture_HWC, mask_HW)
        self.move_23 = np.float64([[1, 0, 0], [0, 1, 0]])
        self.hidden_frames = 0

    def step(self, picture_HWC: np.ndarray) -> None:
        """Go on to the next frame."""
        carried = self.flow.carry(self.picture_HWC, picture_HWC, self.mask_HW, self.move_23)
        if carried.move_23 is not None:
            self.move_23 = carried.move_23
        whole_HW = moved(self.whole_HW, self.move_23)
        mask_HW = self._corrected(picture_HWC, carried, whole_HW)
        if mask_HW.sum() < max(LOST * self.portrait.area, 8):
            mask_HW = self._looked_for(picture_HWC, whole_HW, mask_HW)
        self._settle(picture_HWC, mask_HW, whole_HW)

    def _corrected(self, picture_HWC: np.ndarray, carried: Carried, whole_HW: np.ndarray) -> np.ndarray:
        """What flow and motion say, with the outline put right by colour."""
        prior_HW = carried.flowed_HW & (carried.sure_HW | cut_out.grown(carried.moved_HW, 1))
        if not prior_HW.any():
            return prior_HW
        reach_px = int(np.clip(round(REACH * np.sqrt(prior_HW.sum())), 2, 10))
        labels_HW = np.where(prior_HW, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels_HW[carried.ground_HW & ~(carried.sure_HW & prior_HW)] = cv2.GC_BGD
        labels_HW[carried.object_HW & carried.moved_HW] = cv2.GC_FGD
        labels_HW[cut_out.shrunk(prior_HW, reach_px) & carried.sure_HW] = cv2.GC_FGD
        labels_HW[~cut_out.grown(prior_HW | whole_HW, reach_px)] = cv2.GC_BGD
        cut_HW = cut_out.tidy(cut_out.grab(picture_HWC, labels_HW, self.first + self.recent))
        believed_HW = prior_HW & ~(carried.ground_HW & ~carried.sure_HW)
        if (cut_HW & believed_HW).sum() < EATEN * believed_HW.sum():
            return believed_HW
        may_HW = cut_out.grown(prior_HW, 2) | whole_HW
        return cut_HW & may_HW if cut_HW.sum() > SWOLLEN * prior_HW.sum() else cut_HW

    def _looked_for(self, picture_HWC: np.ndarray, whole_HW: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
        """The object as its portrait finds it again near where it should be; the mask as it is where it does not."""
        near = box_around(whole_HW) or box_around(self.whole_HW)
        placed_HW = self.portrait.place(picture_HWC, near, 0.6 + 0.15 * self.hidden_frames)
        if placed_HW is None:
            return mask_HW
        labels_HW = np.where(placed_HW, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels_HW[~cut_out.grown(placed_HW, 6)] = cv2.GC_BGD
        cut_HW = cut_out.tidy(cut_out.grab(picture_HWC, labels_HW, self.first, rounds=2))
        return cut_HW if cut_out.iou(cut_HW, placed_HW) > 0.5 else placed_HW

    def _settle(self, picture_HWC: np.ndarray, mask_HW: np.ndarray, whole_HW: np.ndarray) -> None:
        """Take the new mask; remember colours and shape from it while the object is in full sight."""
        seen = mask_HW.sum() / max(1, whole_HW.sum())
        if mask_HW.any() and (seen >= HIDDEN or self.hidden_frames >= PATIENCE):
            self.whole_HW, self.hidden_frames = mask_HW, 0
            self.recent = cut_out.remember(picture_HWC, mask_HW, cut_out.MEMORY_PIXELS // 2)
        else:
            self.whole_HW, self.hidden_frames = whole_HW, self.hidden_frames + 1
        self.picture_HWC, self.mask_HW = picture_HWC, mask_HW
