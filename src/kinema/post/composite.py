"""Compositing of generated pixels into a clip: feathered edges, and colours matched to the surroundings."""

from __future__ import annotations

import cv2
import numpy as np

GAIN = (0.8, 1.25)
"""Limits of the contrast change; a larger one would turn a flat area into noise."""
FEWEST = 64
"""Minimum number of pixels for matching colours."""


def feather(mask_HW: np.ndarray, radius_px: float) -> np.ndarray:
    """Feather a mask: float32 weights in [0, 1], equal to the mask inside it and falling to exactly 0 within radius_px
    outside it."""
    hard = (mask_HW > 0).astype(np.uint8)
    if radius_px < 1 or hard.all() or not hard.any():
        return mask_HW.astype(np.float32)
    distance, label_HW = cv2.distanceTransformWithLabels(1 - hard, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = np.zeros(int(label_HW.max()) + 1, np.float32)
    inside[label_HW[hard > 0]] = mask_HW[hard > 0]
    fade = np.clip(1 - distance / (radius_px + 1), 0, 1)
    return np.where(hard > 0, mask_HW, inside[label_HW] * fade * fade * (3 - 2 * fade)).astype(np.float32)


def color_change(generated_PC: np.ndarray, true_PC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(gain, offset), each (3,), such that generated * gain + offset has the mean and standard deviation of true, per
    channel. Both are float pixels (P, 3) at the same positions. With too few pixels, no change."""
    if len(generated_PC) < FEWEST:
        return np.ones(3, np.float32), np.zeros(3, np.float32)
    generated_mean, true_mean = generated_PC.mean(0), true_PC.mean(0)
    gain = np.clip((true_PC.std(0) + 1) / (generated_PC.std(0) + 1), *GAIN)
    return gain.astype(np.float32), (true_mean - gain * generated_mean).astype(np.float32)


def smooth_edge(generated_HWC: np.ndarray, true_HWC: np.ndarray, kept_HW: np.ndarray, reach_px: float) -> np.ndarray:
    """Correct generated pixels, float32, by their difference to the kept ones: fully at the edge of the kept area,
    fading to nothing at about twice reach_px from it."""
    weight_HW = kept_HW.astype(np.float32)
    if weight_HW.all() or not weight_HW.any():
        return generated_HWC
    off_HWC = (true_HWC.astype(np.float32) - generated_HWC) * weight_HW[..., None]
    spread_HWC = cv2.GaussianBlur(off_HWC, (0, 0), reach_px)
    share_HW = cv2.GaussianBlur(weight_HW, (0, 0), reach_px)
    return (generated_HWC + spread_HWC / (share_HW + 0.02)[..., None]).clip(0, 255)


def recolor(frames: np.ndarray, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Apply gain and offset to uint8 frames (..., 3): float32 in [0, 255]."""
    return (frames.astype(np.float32) * gain + offset).clip(0, 255)


def match_colors(generated_FHWC: np.ndarray, true_FHWC: np.ndarray, radius_px: float) -> np.ndarray:
    """Replace the low frequencies of generated frames by those of true: generated - blur(generated) + blur(true).

    Both uint8 (F, H, W, 3) of one size; returns uint8. radius_px: standard deviation of the blur; finer detail is the
    generated frame's, coarser the true one's (the frequency split of wavelet colour fixes, with one Gaussian).
    """
    out = np.empty_like(generated_FHWC)
    for frame, (generated_HWC, true_HWC) in enumerate(zip(generated_FHWC, true_FHWC, strict=True)):
        off_HWC = true_HWC.astype(np.float32) - generated_HWC
        out[frame] = np.rint((generated_HWC + cv2.GaussianBlur(off_HWC, (0, 0), radius_px)).clip(0, 255))
    return out
