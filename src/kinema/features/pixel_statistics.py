"""Plain statistics of a clip's pixels, in the place of a network: brightness and contrast of each colour, detail at
four scales, change over time at three. Distances of sets with them see blur, noise, colour and stopped motion, which
networks trained on contents hardly do; they see neither contents nor the direction of time.

The detail is the energy of the bands of a Laplacian pyramid. Legend: B clips, F frames, H W pixels, D features.

Source: Burt and Adelson, "The Laplacian pyramid as a compact image code", 1983, equations 1 to 3.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np

from .clip_input import checked

NAME = "pixel-statistics"
SIDE_PX = 224
"""As I3D's input: blur below a pixel of that size is not seen."""
BANDS, RATES = 4, 3
UNIT = 32.0
"""Of brightness and contrast, so that all features vary by about 1."""
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
VERSION = "1"
"""Raised with each change of a feature: the digest follows from it."""


class PixelStatistics:
    """A `VideoEncoder` without weights: 6 statistics of colour, BANDS of detail, RATES + 1 of change."""

    size_px, least_frames = SIDE_PX, 3
    num_frames: int | None = None
    resize = "whole frame, by area if reduced, else bilinear"

    def __init__(self, name: str = NAME, model: str = "", device: str = "cpu") -> None:
        self.name = name
        self.digest = hashlib.sha256(f"{NAME} {VERSION}".encode()).hexdigest()

    def __call__(self, frames_BFHWC: np.ndarray) -> np.ndarray:
        """Features (B, 14), float64, of RGB in [0, 255]. Raises ValueError as `checked`."""
        return np.stack([statistics(frames) for frames in checked(frames_BFHWC, self.least_frames)])


def statistics(frames_FHWC: np.ndarray) -> np.ndarray:
    """The features (14,) of one clip. Reversing the clip does not change them."""
    import cv2

    frames = np.stack([_square(frame.astype(np.float32)) for frame in frames_FHWC])
    colour = [
        (frames.mean((0, 1, 2), dtype=np.float64) - 127.5) / UNIT,
        frames.std((1, 2), dtype=np.float64).mean(0) / UNIT,
    ]
    levels = [frames @ LUMA]
    for _ in range(BANDS):
        levels.append(np.stack([cv2.pyrDown(frame) for frame in levels[-1]]))
    detail = [
        _energy(fine - np.stack([cv2.pyrUp(frame, dstsize=fine.shape[:0:-1]) for frame in coarse]))
        for fine, coarse in pairwise(levels)
    ]
    change = [_energy(np.diff(level, axis=0)) for level in levels[:RATES]]
    return np.concatenate([*colour, detail, change, [_energy(np.diff(levels[1], 2, axis=0))]]).astype(np.float64)


def _energy(x: np.ndarray) -> float:
    """The root mean square, in doublings: 0 for none."""
    return float(np.log2(1 + np.sqrt(np.mean(np.square(x), dtype=np.float64))))


def _square(frame_HWC: np.ndarray) -> np.ndarray:
    import cv2

    how = cv2.INTER_AREA if min(frame_HWC.shape[:2]) > SIDE_PX else cv2.INTER_LINEAR
    return cv2.resize(frame_HWC, (SIDE_PX, SIDE_PX), interpolation=how)
