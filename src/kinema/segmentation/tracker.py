"""Tracking with OpenCV: optical flow, GrabCut, and samples of the object's appearance."""

from __future__ import annotations

import cv2
import numpy as np

from ..media.masks import box_around, grown, shrunk
from . import cut_out
from .colors import MEMORY_PIXELS, Colors, remember
from .propagate import Flow, Propagated, moved, shift_of
from .redetect import Template

EATEN, SWOLLEN = 0.75, 1.4
"""Minimum and maximum area of a corrected mask relative to the propagated one; others are rejected."""
REACH = 0.05
"""Half the width of the corrected band around the outline, as a fraction of the root of the object's area."""
HIDDEN = 0.95
"""Visible fraction below which the object's whole shape is kept."""
COASTING = 0.75
"""Visible fraction below which the object's last motion is continued."""
LOST, DROPPED = 0.12, 0.6
"""The object is searched for below LOST of its first area, or DROPPED of its area in the last frame."""
SEARCH, SEARCH_MORE = 1.0, 0.3
"""Search radius of a lost object, in its own sizes, and its growth per frame."""
PATIENCE = 60
"""Maximum frames for which the whole shape is kept while the object is partly hidden."""


class Tracker:
    """The state between two frames. `mask_HW`: bool, the visible object in the newest frame. `unsure`: whether less
    than COASTING of it is visible there, or it was found again by its appearance."""

    def __init__(self, picture_HWC: np.ndarray, mask_HW: np.ndarray) -> None:
        self.picture_HWC, self.mask_HW, self.whole_HW = picture_HWC, mask_HW, mask_HW
        self.flow = Flow()
        self.first = remember(picture_HWC, mask_HW)
        self.colors = Colors(self.first)
        self.recent = self.first
        self.template = self.recent_template = Template.of(picture_HWC, mask_HW)
        self.move_23 = self.steady_23 = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
        self.hidden_frames = 0
        self.seen_box = box_around(mask_HW)
        self.unsure = False

    def step(self, picture_HWC: np.ndarray) -> None:
        """Advance to the next frame."""
        propagated = self.flow.propagate(self.picture_HWC, picture_HWC, self.mask_HW, self.move_23)
        seen = self.mask_HW.sum() / max(1, self.whole_HW.sum())
        if seen < COASTING:
            self.move_23 = shift_of(self.steady_23, self.whole_HW)
        elif propagated.move_23 is not None:
            self.move_23 = propagated.move_23
        whole_HW = moved(self.whole_HW, self.move_23)
        mask_HW = self._corrected(picture_HWC, propagated, whole_HW)
        if not self.colors.fits(picture_HWC, mask_HW):
            mask_HW = np.zeros_like(mask_HW)
        self.unsure = False
        if mask_HW.sum() < max(LOST * self.template.area, DROPPED * self.mask_HW.sum(), 8):
            mask_HW = self._redetected(picture_HWC, mask_HW)
        self._settle(picture_HWC, mask_HW, whole_HW)

    def _corrected(self, picture_HWC: np.ndarray, propagated: Propagated, whole_HW: np.ndarray) -> np.ndarray:
        """The propagated mask with its outline corrected by colour."""
        prior_HW = propagated.flowed_HW & (propagated.sure_HW | grown(propagated.moved_HW, 1))
        reach_px = int(np.clip(round(REACH * np.sqrt(prior_HW.sum())), 2, 10))
        labels_HW = np.where(prior_HW, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels_HW[propagated.ground_HW & ~(propagated.sure_HW & prior_HW)] = cv2.GC_BGD
        labels_HW[propagated.object_HW & propagated.moved_HW] = cv2.GC_FGD
        labels_HW[shrunk(prior_HW, reach_px) & propagated.sure_HW] = cv2.GC_FGD
        labels_HW[~grown(prior_HW | whole_HW, reach_px)] = cv2.GC_BGD
        cut_HW = cut_out.tidy(cut_out.grab(picture_HWC, labels_HW, self.first + self.recent))
        believed_HW = prior_HW & propagated.sure_HW
        if (cut_HW & believed_HW).sum() < EATEN * believed_HW.sum():
            return believed_HW
        may_HW = grown(prior_HW, 2) | whole_HW
        return cut_HW & may_HW if cut_HW.sum() > SWOLLEN * prior_HW.sum() else cut_HW

    def _redetected(self, picture_HWC: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
        """Search for the object near its last position, first by its appearance at the start, then by that when it was
        last fully visible; return the mask unchanged if it is not found."""
        reach = SEARCH + SEARCH_MORE * self.hidden_frames
        for template in dict.fromkeys((self.template, self.recent_template)):
            placed_HW = template.place(picture_HWC, self.seen_box, reach)
            if placed_HW is not None and self.colors.fits(picture_HWC, placed_HW):
                break
        else:
            return mask_HW
        self.unsure = True
        labels_HW = np.where(placed_HW, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        labels_HW[~grown(placed_HW, 6)] = cv2.GC_BGD
        cut_HW = cut_out.tidy(cut_out.grab(picture_HWC, labels_HW, self.first, rounds=2))
        return cut_HW if cut_out.iou(cut_HW, placed_HW) > 0.5 else placed_HW

    def _settle(self, picture_HWC: np.ndarray, mask_HW: np.ndarray, whole_HW: np.ndarray) -> None:
        """Store the new mask; update colours and shape from it while the object is fully visible."""
        seen = mask_HW.sum() / max(1, whole_HW.sum())
        self.unsure = bool(mask_HW.any()) and (self.unsure or seen < COASTING)
        if mask_HW.any() and (seen >= HIDDEN or self.hidden_frames >= PATIENCE):
            self.whole_HW, self.hidden_frames = mask_HW, 0
            if not _at_edge(mask_HW):
                self.recent_template = Template.of(picture_HWC, mask_HW)
            self.steady_23 = self.move_23
            self.recent = remember(picture_HWC, mask_HW, MEMORY_PIXELS // 2)
        else:
            self.whole_HW, self.hidden_frames = whole_HW, self.hidden_frames + 1
        self.seen_box = box_around(mask_HW) or self.seen_box
        self.picture_HWC, self.mask_HW = picture_HWC, mask_HW


def _at_edge(mask_HW: np.ndarray) -> bool:
    """Whether the mask touches the frame's edge, so that part of the object may be outside."""
    return bool(mask_HW[[0, -1]].any() or mask_HW[:, [0, -1]].any())
