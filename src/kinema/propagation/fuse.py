"""Candidates of several frames made one picture that meets the rim of the hole without a seam.

Legend: K candidates, H W pixels, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from .candidate import Candidate, Hole
from .membrane import membrane, smooth

FLOOR = 1.0


def fuse(hole: Hole, other_HW: np.ndarray, found: list[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    seen_HW = np.zeros(hole.mask_HW.shape, bool)
    if not found:
        return hole.frame_HWC.copy(), seen_HW
    colors = np.stack([each.colors_HWC for each in found])
    seen = np.stack([each.seen_HW for each in found])
    best = min(each.misfit for each in found)
    weight = np.stack([((best + FLOOR) / (each.misfit_HW + FLOOR)) ** 3 for each in found])
    for k in range(len(found)):
        inner = cv2.distanceTransform(seen[k].astype(np.uint8), cv2.DIST_L2, 3)
        weight[k] *= np.where(seen[k], np.minimum(1, inner / 8) , 0)
    weight = np.maximum(weight, 0)
    seen_HW = seen.any(0)
    # robust
    mean = (colors * weight[..., None]).sum(0) / np.maximum(weight.sum(0), 1e-9)[..., None]
    for _ in range(3):
        off = np.abs(colors - mean).mean(-1)
        off = np.stack([cv2.blur(each, (5, 5)) for each in off])
        robust = weight / (1 + (off / 6.0) ** 2)
        mean = (colors * robust[..., None]).sum(0) / np.maximum(robust.sum(0), 1e-9)[..., None]
    true = hole.frame_HWC.astype(np.float32)
    fit_HW = seen_HW & ~other_HW & hole.rim_HW
    if fit_HW.any():
        off = smooth(true - mean, fit_HW, 2.0)
        mean = mean + membrane(off, fit_HW)
    return np.rint(mean.clip(0, 255)).astype(np.uint8), seen_HW
