"""match_colors: what a model made of a clip, with the clip's own colours where they change slowly."""

from __future__ import annotations

import cv2
import numpy as np


def match_colors(made_FHWC: np.ndarray, true_FHWC: np.ndarray, radius_px: float) -> np.ndarray:
    """made, with its low frequencies replaced by those of true: made - blur(made) + blur(true), frame by frame.

    Both uint8 (F, H, W, 3) of one size; gives uint8. radius_px: standard deviation of the blur; detail finer than it is
    made's, what is coarser true's (the frequency split of wavelet colour fixes, with one Gaussian).
    """
    out = np.empty_like(made_FHWC)
    for frame, (made_HWC, true_HWC) in enumerate(zip(made_FHWC, true_FHWC, strict=True)):
        off_HWC = true_HWC.astype(np.float32) - made_HWC
        out[frame] = np.rint((made_HWC + cv2.GaussianBlur(off_HWC, (0, 0), radius_px)).clip(0, 255))
    return out
