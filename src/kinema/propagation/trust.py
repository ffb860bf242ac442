"""How far a propagated picture is to be trusted: its error against that of a smooth fill, both measured where the truth
is known.

Legend: H W pixels of the part around a hole, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..media.masks import grown
from .candidate import blurred_difference, interpolated
from .hole import Hole
from .membrane import difference, membrane

RING_PX = 6
DEEP = 0.5
"""Of the hole's depth: the width of the second hidden ring."""
SMALL = 10.0
"""Of 255: a picture with a smaller error is trusted in any case."""
SURE, DOUBTFUL = 0.6, 1.0
"""Error of the propagated picture over that of the smooth fill: weight 1 below the first, 0 above the second."""


def misfit_of(hole: Hole, picture_HWC: np.ndarray, seen_HW: np.ndarray) -> float:
    """Mean absolute difference, of 255, in the propagated part of the rim; 0 if there is none."""
    rim_HW = hole.rim_HW & seen_HW
    return float(difference(picture_HWC, hole.true_HWC)[rim_HW].mean()) if rim_HW.any() else 0.0


def rim_misfit(hole: Hole, picture_HWC: np.ndarray, seen_HW: np.ndarray) -> np.ndarray:
    """The difference of blurred colours on the rim, of 255, interpolated over the part, (H, W)."""
    rim_HW = hole.rim_HW & seen_HW
    return interpolated(blurred_difference(picture_HWC, hole.true_HWC, rim_HW), rim_HW)


def confidence(hole: Hole, error_HW: np.ndarray, seen_HW: np.ndarray, *, deep: bool = True) -> np.ndarray:
    """The weight of a propagated picture against a smooth fill, (H, W) float32 in [0, 1].

    A ring around the hole is hidden too and filled with a membrane: its difference from the truth is the error of a
    smooth fill, which grows with the distance from known pixels. An object that moves behind the hole crosses the rim
    somewhere, and raises the error of the propagated picture there. error_HW: of the propagated picture, of 255.
    deep: whether the picture shows the scene far from the rim too; False for patches, which are no nearer to the truth
    there than a smooth fill."""
    seen = seen_HW.astype(np.float32)
    inside = error_HW[hole.mask_HW & seen_HW]
    if not len(inside) or inside.max() < SMALL:
        return seen
    smooth_HW = _error_of_smooth_fill(hole) if deep else _hidden_ring(hole, RING_PX, 0)
    if smooth_HW is None:
        return seen
    ratio_HW = error_HW / np.maximum(smooth_HW, SMALL)
    return seen * np.clip((DOUBTFUL - ratio_HW) / (DOUBTFUL - SURE), 0, 1).astype(np.float32)


def _error_of_smooth_fill(hole: Hole) -> np.ndarray | None:
    """Mean absolute difference, of 255, (H, W): measured at the border of the hole and deeper inside. None if too
    little is known to measure it."""
    near_HW = _hidden_ring(hole, RING_PX, 0)
    if near_HW is None:
        return None
    depth_HW = cv2.distanceTransform(hole.mask_HW.astype(np.uint8), cv2.DIST_L2, 3)
    deep_px = int(DEEP * depth_HW.max())
    if deep_px < 2 * RING_PX or (deep_HW := _hidden_ring(hole, deep_px, deep_px // 2)) is None:
        return near_HW
    return near_HW + np.maximum(deep_HW - near_HW, 0) * np.minimum(1, depth_HW / deep_px)


def _hidden_ring(hole: Hole, width_px: int, from_px: int) -> np.ndarray | None:
    """Error of a membrane over the hole and a ring around it, measured at the ring's pixels that are at least from_px
    away from known ones."""
    distance_HW = cv2.distanceTransform((~hole.mask_HW).astype(np.uint8), cv2.DIST_L2, 3)
    ring_HW = (grown(hole.mask_HW, width_px) if from_px == 0 else distance_HW <= width_px) & hole.known_HW
    beyond_HW = hole.known_HW & ~ring_HW
    tested_HW = ring_HW & (distance_HW <= width_px - from_px)
    if not tested_HW.any() or not beyond_HW.any():
        return None
    return interpolated(difference(membrane(hole.true_HWC, beyond_HW), hole.true_HWC), tested_HW)
