"""Previews of masks over their frames."""

from __future__ import annotations

import cv2
import numpy as np

TINT, OUTLINE = (255, 40, 140), (255, 255, 255)
STRENGTH = 0.45


def tinted(frames_FHWC: np.ndarray, masks_FHW: np.ndarray) -> np.ndarray:
    """Overlay masks (float [0, 1], 1 = generate) on frames (uint8 RGB) with a tint and an outline."""
    amount_FHW1 = STRENGTH * np.clip(masks_FHW, 0, 1)[..., None]
    shown_FHWC = (frames_FHWC * (1 - amount_FHW1) + np.array(TINT) * amount_FHW1 + 0.5).astype(np.uint8)
    thick = max(1, round(max(frames_FHWC.shape[1:3]) / 400))
    for shown_HWC, mask_HW in zip(shown_FHWC, masks_FHW):
        outlines, _ = cv2.findContours((mask_HW > 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(shown_HWC, outlines, -1, OUTLINE, thick)
    return shown_FHWC
