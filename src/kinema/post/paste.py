"""Generated pixels over a clip's own: how the edge fades, and colours that fit what is around."""

from __future__ import annotations

import cv2
import numpy as np

GAIN = (0.8, 1.25)
"""Contrast is changed within these limits, or it would turn a flat patch into noise."""
FEWEST = 64
"""Pixels that colours are compared on, at least."""


def feather(mask_HW: np.ndarray, radius_px: float) -> np.ndarray:
    """Weights in [0, 1], float32: the mask's own inside, falling from the nearest of these to exactly 0 within
    radius_px outside it."""
    hard = (mask_HW > 0).astype(np.uint8)
    if radius_px < 1 or hard.all() or not hard.any():
        return mask_HW.astype(np.float32)
    distance, label_HW = cv2.distanceTransformWithLabels(1 - hard, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = np.zeros(int(label_HW.max()) + 1, np.float32)
    inside[label_HW[hard > 0]] = mask_HW[hard > 0]
    fade = np.clip(1 - distance / (radius_px + 1), 0, 1)
    return np.where(hard > 0, mask_HW, inside[label_HW] * fade * fade * (3 - 2 * fade)).astype(np.float32)


def color_change(made_PC: np.ndarray, true_PC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gain, offset), each (3,): made * gain + offset has the mean and the spread of true, channel by channel. Both
    are float pixels (P, 3) of the same places. Nothing is changed where there are too few."""
    if len(made_PC) < FEWEST:
        return np.ones(3, np.float32), np.zeros(3, np.float32)
    made_mean, true_mean = made_PC.mean(0), true_PC.mean(0)
    gain = np.clip((true_PC.std(0) + 1) / (made_PC.std(0) + 1), *GAIN)
    return gain.astype(np.float32), (true_mean - gain * made_mean).astype(np.float32)


def smooth_edge(made_HWC: np.ndarray, true_HWC: np.ndarray, kept_HW: np.ndarray, reach_px: float) -> np.ndarray:
    """Made pixels, float32, with what they are off by where the truth is kept taken back: all of it at the edge of the
    kept part, less and less inside, nothing further than about twice reach_px from it."""
    weight_HW = kept_HW.astype(np.float32)
    if weight_HW.all() or not weight_HW.any():
        return made_HWC
    off_HWC = (true_HWC.astype(np.float32) - made_HWC) * weight_HW[..., None]
    spread_HWC = cv2.GaussianBlur(off_HWC, (0, 0), reach_px)
    share_HW = cv2.GaussianBlur(weight_HW, (0, 0), reach_px)
    return (made_HWC + spread_HWC / (share_HW + 0.02)[..., None]).clip(0, 255)


def recolor(frames: np.ndarray, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """uint8 frames (..., 3) with the change applied, float32, still in [0, 255]."""
    return (frames.astype(np.float32) * gain + offset).clip(0, 255)
