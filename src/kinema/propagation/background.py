"""The background behind moving objects: the median of frames that are far apart, and what differs from it.

Legend: H W pixels of a part of the frame around a hole, C channels, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..media.masks import grown
from .camera import View
from .candidate import blurred_difference, candidate, projected, warped
from .flow import DenseFlow
from .hole import Hole
from .membrane import difference
from .sources import Linked, showing

OFF = 12.0
"""Of 255: what differs from the background by more is not the background."""
SPREAD, FAR = 2, 24.0
"""Frames are chosen among every SPREAD-th one; one at the distance FAR counts half."""
NEAR, INSIDE_PX = (2, 5), 8
"""Frames at these distances tell what moves; its inside, in which nothing seems to move, is this near to that."""
TOUCH_PX = 6
LEAST, LEAST_PX = 0.004, 40
"""Pixels of an object that is worth following: as a fraction of the hole's, and in any case."""
CELL_PX = 3


@dataclass(frozen=True)
class Background:
    """picture_HWC: float32, valid where shown_HW. shown_HW: bool. moved_HW: difference of the frame from frames shortly
    before and after without own motion, of 255, at most; 0 where unknown."""

    picture_HWC: np.ndarray
    shown_HW: np.ndarray
    moved_HW: np.ndarray

    def off(self, picture_HWC: np.ndarray) -> np.ndarray:
        """Whether the colours around each pixel differ from the background, bool."""
        return average_difference(picture_HWC, self.picture_HWC) > OFF


def average_difference(one_HWC: np.ndarray, other_HWC: np.ndarray) -> np.ndarray:
    """Mean absolute difference of a pixel and its neighbours, of 255, (H, W) float32."""
    return cv2.blur(difference(one_HWC, other_HWC), (CELL_PX, CELL_PX))


def background(
    hole: Hole, now: View, linked: Sequence[Linked], masked: Sequence[Linked], object_HW: np.ndarray, flow: DenseFlow
) -> Background | None:
    """None if no frame shows the part. linked: source frames. masked: the same, with the object in their masks as far
    as it is known. object_HW: where it is in the present frame."""
    free_HW = hole.known_HW & ~object_HW
    behind = replace(hole, mask_HW=np.ones_like(hole.mask_HW), known_HW=free_HW, rim_HW=hole.rim_HW & free_HW)
    each = [one for one in masked if (one[0].index - now.index) % SPREAD == 0]
    made = (candidate(behind, now, *one, flow) for one in showing(each, now.index, behind, FAR))
    found = [one for one in made if one is not None]
    if not found:
        return None
    count_HW = np.stack([one.seen_HW for one in found]).sum(0)
    order_KHWC = np.sort([np.where(one.seen_HW[..., None], one.colors_HWC, np.inf) for one in found], axis=0)
    rows, columns = np.indices(count_HW.shape)
    last_HW = np.maximum(count_HW - 1, 0)
    median_HWC = 0.5 * (order_KHWC[last_HW // 2, rows, columns] + order_KHWC[(last_HW + 1) // 2, rows, columns])
    picture_HWC = np.where((count_HW > 0)[..., None], median_HWC, 0).astype(np.float32)
    return Background(picture_HWC, count_HW > 0, _moved(hole, now, linked))


def _moved(hole: Hole, now: View, linked: Sequence[Linked]) -> np.ndarray:
    out_HW = np.zeros(hole.mask_HW.shape, np.float32)
    for source, to_33 in linked:
        if abs(source.index - now.index) in NEAR:
            made = warped(hole, source, projected(hole.grid_HW2, to_33))
            off_HW = average_difference(made.colors_HWC, hole.true_HWC)
            np.maximum(out_HW, off_HW, out=out_HW, where=made.seen_HW & hole.known_HW)
    return out_HW


def moving_part(hole: Hole, behind: Background) -> np.ndarray | None:
    """Where an object that moves is in sight next to the hole, bool; None if there is none."""
    both_HW = hole.known_HW & behind.shown_HW
    off_HW = behind.off(hole.true_HWC) & (blurred_difference(behind.picture_HWC, hole.true_HWC, both_HW) > OFF)
    object_HW = (both_HW & off_HW & grown(behind.moved_HW > OFF, INSIDE_PX)).astype(np.uint8)
    object_HW = cv2.morphologyEx(object_HW, cv2.MORPH_OPEN, np.ones((3, 3))) > 0
    found_HW = connected(object_HW, grown(hole.mask_HW, TOUCH_PX))
    return found_HW if found_HW.sum() > max(LEAST_PX, LEAST * hole.mask_HW.sum()) else None


def connected(mask_HW: np.ndarray, with_HW: np.ndarray) -> np.ndarray:
    """Those of a mask's connected parts that touch another mask."""
    _, names_HW = cv2.connectedComponents(mask_HW.astype(np.uint8))
    touching = np.unique(names_HW[with_HW & mask_HW])
    return np.isin(names_HW, touching[touching > 0])
