"""Alpha channels of pictures."""

from __future__ import annotations

import numpy as np


def over_white(frame_HWC: np.ndarray) -> np.ndarray:
    """Composite uint8 RGBA, shape (..., 4), over white: uint8 RGB, shape (..., 3)."""
    color, alpha = frame_HWC[..., :3].astype(np.uint32), frame_HWC[..., 3:].astype(np.uint32)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
