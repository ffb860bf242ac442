"""Whether an object continues outside the box that is drawn around it."""

from __future__ import annotations

import cv2
import numpy as np

from ..media.masks import shrunk
from . import cut_out
from .track import reduced

MARGIN = 0.6
"""How far outside the box the object is looked for, as a fraction of the box's sides."""
LEAST_OUTSIDE = 0.4
"""Minimum area of the object outside the box, relative to that inside."""
LEAST_CROSSING = 0.04
"""Minimum fraction of the box's outline that the object crosses without a change of colour."""
STEP = 12.0
"""Lab difference between both sides of the outline, `ACROSS_PX` apart, that is a change of colour."""
ACROSS_PX = 3
SURE_PX = 2


def continues(frame_HWC: np.ndarray, box: tuple[float, float, float, float]) -> bool:
    """Whether the object in a box (left, top, right, bottom; fractions of the frame) clearly continues outside, so that
    the box covers a part of it. frame_HWC: uint8 RGB.

    The object is segmented in the box; then GrabCut extends it into the box's surroundings. Conservative: of a box that
    covers a part of an object of many colours, the rest often counts as background.
    """
    picture_HWC = reduced(frame_HWC)
    height, width = picture_HWC.shape[:2]
    left, top, right, bottom = (round(part * size) for part, size in zip(box, (width, height) * 2))
    box_HW = np.zeros((height, width), bool)
    box_HW[top:bottom, left:right] = True
    if min(right - left, bottom - top) < cut_out.SMALL_PX or box_HW.all():
        return False
    inside_HW = cut_out.from_box(picture_HWC, (left, top, right, bottom)).mask_HW
    across, down = round(MARGIN * (right - left)), round(MARGIN * (bottom - top))
    labels_HW = np.full((height, width), cv2.GC_BGD, np.uint8)
    labels_HW[max(0, top - down) : bottom + down, max(0, left - across) : right + across] = cv2.GC_PR_BGD
    labels_HW[inside_HW] = cv2.GC_PR_FGD
    labels_HW[shrunk(inside_HW, SURE_PX)] = cv2.GC_FGD
    whole_HW = cut_out.tidy(cut_out.grab(picture_HWC, labels_HW, rounds=3))
    area = int((whole_HW & box_HW).sum())
    if not area:
        return False
    outside_HW = cut_out.part_at(whole_HW, whole_HW & box_HW) & ~box_HW
    lab_HWC = cut_out.soft_lab(picture_HWC)
    clear = cut_out.quality(lab_HWC, whole_HW, np.zeros_like(whole_HW)) >= cut_out.OUTLINED
    length = 2 * (right - left + bottom - top)
    crossing = _crossing(lab_HWC, whole_HW, (left, top, right, bottom)) >= LEAST_CROSSING * length
    return bool(clear and crossing and outside_HW.sum() >= LEAST_OUTSIDE * area)


def _crossing(lab_HWC: np.ndarray, whole_HW: np.ndarray, box_px: tuple[int, int, int, int]) -> int:
    """The number of pixels of a box's outline that an object crosses without a change of colour."""
    left, top, right, bottom = box_px
    height, width = whole_HW.shape
    rows, columns = slice(top, bottom), slice(left, right)
    sides = (
        ((rows, left), (rows, left - ACROSS_PX), left >= ACROSS_PX),
        ((rows, right - 1), (rows, right - 1 + ACROSS_PX), right - 1 + ACROSS_PX < width),
        ((top, columns), (top - ACROSS_PX, columns), top >= ACROSS_PX),
        ((bottom - 1, columns), (bottom - 1 + ACROSS_PX, columns), bottom - 1 + ACROSS_PX < height),
    )
    count = 0
    for inner, outer, inside_frame in sides:
        if inside_frame:
            step = np.linalg.norm(lab_HWC[inner] - lab_HWC[outer], axis=-1)
            count += int((whole_HW[inner] & whole_HW[outer] & (step < STEP)).sum())
    return count
