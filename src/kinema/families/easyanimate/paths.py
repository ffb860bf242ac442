"""Paths as V5.1's Control models read them, drawn as a control clip: in each frame a white blob, on black, where the
object is (after DragAnything, arXiv 2403.07420).

The numbers are those of the publishers' node for ComfyUI: a Gaussian of standard deviation 40 on 200x200, cut to a disc
of radius 99, resized to a square whose half side is 50 pixels of a 1280x720 frame. At the border of the frame the
square is smaller, and the whole blob is squeezed into it. Several paths: the brightest at each pixel."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from ...conditions import trajectory
from ...core.conditions import Trajectory

SIDE, SPREAD, RADIUS = 200, 40.0, 99
HALF_PX, AREA_PX = 50, 1280 * 720
SMALLEST_PX = 3
"""Blobs of this side or less are not drawn."""


def draw(path: Trajectory, frames: int, height: int, width: int) -> torch.Tensor:
    """The control clip of one path, float32 (1, 3, F, H, W): -1 is black."""
    half = int(HALF_PX * (height * width / AREA_PX) ** 0.5)
    clip_FHW = np.zeros((frames, height, width), np.uint8)
    for index, (x, y) in enumerate(np.rint(trajectory.positions(path, frames, (width, height))).astype(int)):
        left, right = max(x - half, 0), min(x + half, width - 1)
        top, bottom = max(y - half, 0), min(y + half, height - 1)
        if min(right - left, bottom - top) > SMALLEST_PX:
            clip_FHW[index, top:bottom, left:right] = _resized(right - left, bottom - top)
    return torch.from_numpy(clip_FHW).float().div(127.5).sub(1.0)[None, None].repeat(1, 3, 1, 1, 1)


def _resized(width: int, height: int) -> Any:
    import cv2

    return cv2.resize(blob(), (width, height))


@cache
def blob() -> np.ndarray:
    """uint8 (200, 200), 255 in the middle."""
    import cv2

    away = np.arange(SIDE, dtype=np.float32) - SIDE / 2
    found = np.exp(-(away[:, None] ** 2 + away**2) / (2 * SPREAD**2))
    disc = cv2.circle(np.zeros((SIDE, SIDE), np.float32), (SIDE // 2, SIDE // 2), RADIUS, 1.0, -1)
    return (found * disc * 255).astype(np.uint8)
