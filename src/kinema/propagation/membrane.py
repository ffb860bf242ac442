"""Smooth interpolation over a hole from the known pixels around it.

Legend: H W pixels, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

SMALLEST_PX = 4
ROUNDS = 4


def membrane(values: np.ndarray, known_HW: np.ndarray) -> np.ndarray:
    """The values where known, elsewhere their smooth interpolation: the solution of Laplace's equation, as used in
    gradient-domain blending (Perez et al., Poisson Image Editing, 2003), solved approximately from coarse to fine.
    values: float32, (H, W) or (H, W, C). Zeros if nothing is known."""
    known_HW = known_HW.astype(np.float32)
    out = _level(values.astype(np.float32).reshape(*known_HW.shape, -1) * known_HW[..., None], known_HW)
    return out.reshape(values.shape)


def _level(sum_HWC: np.ndarray, weight_HW: np.ndarray) -> np.ndarray:
    """sum_HWC / weight_HW where the weight is not 0, interpolated elsewhere."""
    height, width = weight_HW.shape
    fixed_HW = weight_HW > 1e-3
    mean_HWC = sum_HWC / np.maximum(weight_HW, 1e-3)[..., None]
    if fixed_HW.all():
        return mean_HWC
    if min(height, width) <= SMALLEST_PX:
        total = float(weight_HW.sum())
        middle = sum_HWC.sum((0, 1)) / total if total > 0 else np.zeros(sum_HWC.shape[-1], np.float32)
        return np.where(fixed_HW[..., None], mean_HWC, middle).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    coarse_sum = cv2.resize(sum_HWC, half, interpolation=cv2.INTER_AREA).reshape(half[1], half[0], -1)
    coarse = _level(coarse_sum, cv2.resize(weight_HW, half, interpolation=cv2.INTER_AREA))
    out_HWC = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(sum_HWC.shape)
    out_HWC[fixed_HW] = mean_HWC[fixed_HW]
    for _ in range(ROUNDS):
        near_HWC = cv2.blur(out_HWC, (3, 3), borderType=cv2.BORDER_REPLICATE).reshape(sum_HWC.shape)
        np.copyto(near_HWC, mean_HWC, where=fixed_HW[..., None])
        out_HWC = near_HWC
    return out_HWC


def smooth(values: np.ndarray, known_HW: np.ndarray, radius_px: float) -> np.ndarray:
    """Gaussian-weighted mean of the known values around each pixel; 0 where none is near."""
    weight_HW = cv2.GaussianBlur(known_HW.astype(np.float32), (0, 0), radius_px)
    shaped = values.reshape(*known_HW.shape, -1) * known_HW[..., None]
    total = cv2.GaussianBlur(shaped.astype(np.float32), (0, 0), radius_px).reshape(shaped.shape)
    return (total / np.maximum(weight_HW, 1e-4)[..., None]).reshape(values.shape)


def longest(flow_HW2: np.ndarray) -> np.ndarray:
    """The larger of both components of each vector, absolute, (H, W)."""
    return np.maximum(np.abs(flow_HW2[..., 0]), np.abs(flow_HW2[..., 1]))


def difference(one_HWC: np.ndarray, other_HWC: np.ndarray) -> np.ndarray:
    """Mean absolute difference over the channels, (H, W) float32; both are float32 RGB."""
    off_HWC = np.abs(one_HWC - other_HWC).astype(np.float32, copy=False)
    return cv2.transform(off_HWC, np.full((1, 3), 1 / 3, np.float32))
