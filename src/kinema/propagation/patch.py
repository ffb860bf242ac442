"""Areas that no frame shows, filled from their surroundings: by patches or by a smooth surface.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from ..media.masks import grown
from .exemplar import exemplar, is_open
from .membrane import membrane, smooth

BLURRED = 12.0
"""The hole's side over the radius of the blur that removes the streaks of fast marching, deep inside."""
THIN = 0.038
"""A hole is thin if the radius of the largest circle in it is at most this fraction of the frame's shorter side. Up to
here a smooth surface was nearer to the truth than patches on each of three real clips; above, on some of them."""


def is_thin(hole_HW: np.ndarray, side_px: int) -> bool:
    """Whether every pixel of a hole is near known ones, as in strokes of letters: a smooth surface bridges it, while
    patches replace what continues across it by something else. side_px: the frame's shorter side. An open hole is known
    on one side only, and is not thin."""
    depth_HW = cv2.distanceTransform(hole_HW.astype(np.uint8), cv2.DIST_L2, 5)
    return bool(depth_HW.max() <= THIN * side_px) and not is_open(hole_HW)


def surface(picture_HWC: np.ndarray, hole_HW: np.ndarray, known_HW: np.ndarray) -> np.ndarray:
    """The hole filled without texture, float32: the mean of a membrane and of fast marching (Telea, An Image Inpainting
    Technique Based on the Fast Marching Method, 2004). Their errors differ, and the mean has a smaller one."""
    smooth_HWC = membrane(picture_HWC, known_HW)
    given_HWC = np.rint(smooth_HWC.clip(0, 255)).astype(np.uint8)
    marched_HWC = cv2.inpaint(given_HWC, hole_HW.astype(np.uint8), 3, cv2.INPAINT_TELEA).astype(np.float32)
    radius_px = max(1.0, float(np.sqrt(hole_HW.sum())) / BLURRED)
    depth_HW = cv2.distanceTransform(hole_HW.astype(np.uint8), cv2.DIST_L2, 3)
    share_HW1 = np.minimum(1, depth_HW / (2 * radius_px))[..., None]
    blurred_HWC = smooth(marched_HWC, hole_HW | known_HW, radius_px)
    marched_HWC += share_HW1 * (blurred_HWC - marched_HWC)
    return np.where(hole_HW[..., None], 0.5 * (smooth_HWC + marched_HWC), smooth_HWC).astype(np.float32)


Patching = Literal["sharp", "close"]


def patched(picture_HWC: np.ndarray, hole_HW: np.ndarray, known_HW: np.ndarray, patching: Patching) -> np.ndarray:
    """The hole filled, float32. "sharp": by patches, which look natural and may be far from the truth. "close": by
    a weighted mean of patches and a smooth surface, weighted by their errors in a ring around the hole that is hidden
    for this test: softer, and nearer to the truth."""
    if patching == "sharp":
        return exemplar(picture_HWC, hole_HW, known_HW)
    surface_HWC = surface(picture_HWC, hole_HW, known_HW)
    ring_px = max(3, int(np.sqrt(hole_HW.sum()) / 8))
    ring_HW = grown(hole_HW, ring_px) & known_HW
    beyond_HW = known_HW & ~ring_HW
    if not ring_HW.any() or not beyond_HW.any():
        return surface_HWC
    both_HW = hole_HW | ring_HW
    tests = (exemplar(picture_HWC, both_HW, beyond_HW), surface(picture_HWC, both_HW, beyond_HW))
    patches, plain = (float(np.square(each - picture_HWC)[ring_HW].mean()) + 1 for each in tests)
    share = plain**2 / (plain**2 + patches**2)
    if share < LEAST:
        return surface_HWC
    return share * exemplar(picture_HWC, hole_HW, known_HW) + (1 - share) * surface_HWC


LEAST = 0.1
"""Patches with a smaller weight are left out."""
