"""Luma, alone and on three channels. Legend: H W height and width."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def draw(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Luma on three channels."""
    for frame_HW3 in frames:
        yield three(luma(frame_HW3))


def luma(frame_HW3: np.ndarray) -> np.ndarray:
    """BT.601 luma 0.299 R + 0.587 G + 0.114 B of a uint8 RGB frame, rounded: uint8 (H, W)."""
    import cv2

    return cv2.cvtColor(np.ascontiguousarray(frame_HW3), cv2.COLOR_RGB2GRAY)


def three(plane_HW: np.ndarray) -> np.ndarray:
    """A uint8 plane on three equal channels."""
    return np.repeat(plane_HW[..., None], 3, axis=-1)
