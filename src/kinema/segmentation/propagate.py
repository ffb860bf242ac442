"""Propagation of a mask from one frame to the next by dense optical flow, with evidence from the flow."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..media.masks import grown, shrunk
from .cut_out import SEED

LEAST_PIXELS = 12


CALM, LOUD = 10.0, 20.0
"""Levels of 255: below CALM a colour counts as unchanged; only one motion explains a pixel if their differences are
LOUD apart."""
APART_PX = 1.5
"""Minimum relative motion of object and surroundings to distinguish them."""


@dataclass(frozen=True)
class Propagated:
    """A mask propagated by one frame; arrays are (H, W) of the newer frame.

    flowed_HW: bool, the mask warped by the flow. moved_HW: bool, the mask moved by the object's global motion (shift,
    rotation, scale). sure_HW: bool, where forward and backward flow agree and the colours match. ground_HW, object_HW:
    bool, pixels that only the motion of the surroundings explains, or only the object's. move_23: the object's motion,
    or None if too little of it is visible.
    """

    flowed_HW: np.ndarray
    moved_HW: np.ndarray
    sure_HW: np.ndarray
    ground_HW: np.ndarray
    object_HW: np.ndarray
    move_23: np.ndarray | None


class Flow:
    """Optical flow between consecutive frames: dense inverse search, both ways."""

    def __init__(self) -> None:
        self.search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def propagate(
        self, before_HWC: np.ndarray, now_HWC: np.ndarray, mask_HW: np.ndarray, last_23: np.ndarray
    ) -> Propagated:
        """Propagate the mask of the frame before to this one. `last_23`: the object's last motion, used if it is
        hidden."""
        before, now = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before_HWC, now_HWC))
        back_HW2 = self.search.calc(now, before, None)
        ahead_HW2 = self.search.calc(before, now, None)
        height, width = now.shape
        grid_HW2 = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
        from_HW2 = grid_HW2 + back_HW2

        def warped(picture: np.ndarray) -> np.ndarray:
            return cv2.remap(picture, from_HW2, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

        forward_HW2 = warped(ahead_HW2)
        error_HW = ((back_HW2 + forward_HW2) ** 2).sum(-1)
        allowed_HW = 0.8 + 0.03 * ((back_HW2**2).sum(-1) + (forward_HW2**2).sum(-1))
        inside_HW = (from_HW2 > -1).all(-1) & (from_HW2 < (width, height)).all(-1)
        alike_HW = cv2.absdiff(warped(before_HWC), now_HWC).max(-1) < 48
        move_23 = _motion(ahead_HW2, _inner(mask_HW), grid_HW2)
        motion_23 = last_23 if move_23 is None else move_23
        around_HW = ~grown(mask_HW, 6)
        ground_HW, object_HW = _explained(
            before_HWC, now_HWC, mask_HW, _motion(ahead_HW2, around_HW, grid_HW2), move_23
        )
        return Propagated(
            flowed_HW=warped(mask_HW.astype(np.float32)) > 0.5,
            moved_HW=moved(mask_HW, motion_23),
            sure_HW=(error_HW < allowed_HW) & alike_HW & inside_HW,
            ground_HW=ground_HW,
            object_HW=object_HW,
            move_23=move_23,
        )


def moved(mask_HW: np.ndarray, move_23: np.ndarray) -> np.ndarray:
    """A bool mask moved by an affine motion (2 x 3, pixels)."""
    height, width = mask_HW.shape
    return cv2.warpAffine(mask_HW.astype(np.float32), move_23, (width, height), flags=cv2.INTER_LINEAR) > 0.5


def shift_of(move_23: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
    """The translation part of a motion at the centre of a mask."""
    if not mask_HW.any():
        return np.array([[1, 0, 0], [0, 1, 0]], np.float64)
    rows, columns = np.nonzero(mask_HW)
    x, y = columns.mean(), rows.mean()
    to_x, to_y = move_23 @ (x, y, 1.0)
    return np.array([[1, 0, to_x - x], [0, 1, to_y - y]], np.float64)


def _inner(mask_HW: np.ndarray) -> np.ndarray:
    inside_HW = shrunk(mask_HW, 2)
    return inside_HW if inside_HW.sum() >= LEAST_PIXELS else mask_HW


def _motion(ahead_HW2: np.ndarray, where_HW: np.ndarray, grid_HW2: np.ndarray) -> np.ndarray | None:
    """The similarity transform (2 x 3) of a region's flow, estimated by RANSAC; None if there is too little flow."""
    start_N2 = grid_HW2[where_HW]
    if len(start_N2) < LEAST_PIXELS:
        return None
    picked = np.linspace(0, len(start_N2) - 1, min(500, len(start_N2))).astype(int)
    start_N2, end_N2 = start_N2[picked], (start_N2 + ahead_HW2[where_HW])[picked]
    cv2.setRNGSeed(SEED)
    move_23, _ = cv2.estimateAffinePartial2D(start_N2, end_N2, method=cv2.RANSAC, ransacReprojThreshold=1.5)
    return move_23 if move_23 is not None and 0.6 < np.hypot(*move_23[:, 0]) < 1.6 else None


def _explained(
    before_HWC: np.ndarray,
    now_HWC: np.ndarray,
    mask_HW: np.ndarray,
    ground_23: np.ndarray | None,
    object_23: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that only the motion of the surroundings explains, and those that only the object's explains."""
    nothing_HW = np.zeros(mask_HW.shape, bool)
    if ground_23 is None or object_23 is None:
        return nothing_HW, nothing_HW
    if not mask_HW.any():
        return nothing_HW, nothing_HW
    rows, columns = np.nonzero(mask_HW)
    middle = np.array([columns.mean(), rows.mean(), 1.0])
    if np.linalg.norm((ground_23 - object_23) @ middle) < APART_PX:
        return nothing_HW, nothing_HW
    height, width = mask_HW.shape
    left_HW = []
    for move_23 in (ground_23, object_23):
        was_HWC = cv2.warpAffine(before_HWC, move_23, (width, height), borderMode=cv2.BORDER_REPLICATE)
        difference_HW = cv2.absdiff(was_HWC, now_HWC).max(-1).astype(np.float32)
        left_HW.append(cv2.boxFilter(difference_HW, -1, (3, 3)))
    by_ground_HW, by_object_HW = left_HW
    ground_HW = (by_ground_HW < CALM) & (by_object_HW > by_ground_HW + LOUD)
    return ground_HW, (by_object_HW < CALM) & (by_ground_HW > by_object_HW + LOUD)
