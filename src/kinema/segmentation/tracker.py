"""An object followed from frame to frame with OpenCV alone: optical flow, GrabCut, and a memory of how it looked."""

from __future__ import annotations

import cv2
import numpy as np

from ..media.masks import box_around, grown, shrunk
from . import cut_out
from .carry import Carried, Flow, moved, shift_of
from .colors import MEMORY_PIXELS, Colors, remember
from .find_again import Portrait

EATEN, SWOLLEN = 0.75, 1.4
"""A correction that leaves less, or makes more, of what the flow says is there is not believed."""
REACH = 0.05
"""Half the width of the band in which the outline is put right, as a share of the root of the object's area."""
HIDDEN = 0.95
"""Less than this share of the object's whole shape in sight: the shape is remembered."""
COASTING = 0.75
"""Less than this: it is taken to move on as it did before, since what is seen of it tells too little."""
LOST, DROPPED = 0.12, 0.6
"""Less than LOST of the object's first area, or than DROPPED of what was seen a frame ago: it is looked for."""
SEARCH, SEARCH_MORE = 1.0, 0.3
"""How far from where it was last seen a lost object is looked for, in its own sizes, and how much farther each frame
after that."""
PATIENCE = 60
"""Frames that a whole shape is remembered for while only a part of it is seen."""


class Tracker:
    """The state between two frames. `mask_HW`: bool, where the object is seen in the newest frame."""

    def __init__(self, picture_HWC: np.ndarray, mask_HW: np.ndarray) -> None:
        self.picture_HWC, self.mask_HW, self.whole_HW = picture_HWC, mask_HW, mask_HW
        self.flow = Flow()
        self.first = remember(picture_HWC, mask_HW)
        self.colors = Colors(self.first)
        self.recent = self.first
        self.portrait = self.lately = Portrait.of(picture_HWC, mask_HW)
        self.move_23 = self.steady_23 = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
        self.hidden_frames = 0
        self.seen_box = box_around(mask_HW)

    def step(self, picture_HWC: np.ndarray) -> None:
        """Go on to the next frame."""
        carried = self.flow.carry(self.picture_HWC, picture_HWC, self.mask_HW, self.move_23)
        seen = self.mask_HW.sum() / max(1, self.whole_HW.sum())
        if seen < COASTING:
            self.move_23 = shift_of(self.steady_23, self.whole_HW)
        elif carried.move_23 is not None:
            self.move_23 = carried.move_23
        whole_HW = moved(self.whole_HW, self.move_23)
        mask_HW = self._corrected(picture_HWC, carried, whole_HW)
        if not self.colors.fits(picture_HWC, mask_HW):
            mask_HW = np.zeros_like(mask_HW)
        if mask_HW.sum() < max(LOST * self.portrait.area, DROPPED * self.mask_HW.sum(), 8):
            mask_HW = self._looked_for(picture_HWC, mask_HW)
        self._settle(picture_HWC, mask_HW, whole_HW)

    def _corrected(self, picture_HWC: np.ndarray, carried: Carried, whole_HW: np.ndarray) -> np.ndarray:
        """What flow and motion say, with the outline put right by colour."""
        prior_HW = carried.flowed_HW & (carried.sure_HW | grown(carried.moved_HW, 1))
        reach_px = int(np.clip(round(REACH * np.sqrt(prior_HW.sum())), 2, 10))
        labels_HW = np.where(prior_HW, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels_HW[carried.ground_HW & ~(carried.sure_HW & prior_HW)] = cv2.GC_BGD
        labels_HW[carried.object_HW & carried.moved_HW] = cv2.GC_FGD
        labels_HW[shrunk(prior_HW, reach_px) & carried.sure_HW] = cv2.GC_FGD
        labels_HW[~grown(prior_HW | whole_HW, reach_px)] = cv2.GC_BGD
        cut_HW = cut_out.tidy(cut_out.grab(picture_HWC, labels_HW, self.first + self.recent))
        believed_HW = prior_HW & carried.sure_HW
        if (cut_HW & believed_HW).sum() < EATEN * believed_HW.sum():
            return believed_HW
        may_HW = grown(prior_HW, 2) | whole_HW
        return cut_HW & may_HW if cut_HW.sum() > SWOLLEN * prior_HW.sum() else cut_HW

    def _looked_for(self, picture_HWC: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
        """The object as its portraits find it near where it was last seen, or the mask as it is. The first one is how
        it was meant, the other how it looked when it was last in full sight."""
        reach = SEARCH + SEARCH_MORE * self.hidden_frames
        for portrait in dict.fromkeys((self.portrait, self.lately)):
            placed_HW = portrait.place(picture_HWC, self.seen_box, reach)
            if placed_HW is not None and self.colors.fits(picture_HWC, placed_HW):
                break
        else:
            return mask_HW
        labels_HW = np.where(placed_HW, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels_HW[~grown(placed_HW, 6)] = cv2.GC_BGD
        cut_HW = cut_out.tidy(cut_out.grab(picture_HWC, labels_HW, self.first, rounds=2))
        return cut_HW if cut_out.iou(cut_HW, placed_HW) > 0.5 else placed_HW

    def _settle(self, picture_HWC: np.ndarray, mask_HW: np.ndarray, whole_HW: np.ndarray) -> None:
        """Take the new mask; remember colours and shape from it while the object is in full sight."""
        seen = mask_HW.sum() / max(1, whole_HW.sum())
        if mask_HW.any() and (seen >= HIDDEN or self.hidden_frames >= PATIENCE):
            self.whole_HW, self.hidden_frames = mask_HW, 0
            if not _at_edge(mask_HW):
                self.lately = Portrait.of(picture_HWC, mask_HW)
            self.steady_23 = self.move_23
            self.recent = remember(picture_HWC, mask_HW, MEMORY_PIXELS // 2)
        else:
            self.whole_HW, self.hidden_frames = whole_HW, self.hidden_frames + 1
        self.seen_box = box_around(mask_HW) or self.seen_box
        self.picture_HWC, self.mask_HW = picture_HWC, mask_HW


def _at_edge(mask_HW: np.ndarray) -> bool:
    """Does it touch the frame's edge, so that a part of it may be outside?"""
    return bool(mask_HW[[0, -1]].any() or mask_HW[:, [0, -1]].any())
