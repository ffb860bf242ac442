"""The look of a clip: sharpness, exposure, black bars, colourfulness.

Legend: F frames, H W height and width, C channels.

Sources: Crete and others, "The blur effect: perception and estimation with a new no-reference perceptual blur metric",
2007; Hasler and Suesstrunk, "Measuring colourfulness in natural images", 2003, equation 1 (M3).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reading import FrameRequest
from ..stage import Column, CurationSettings, CutClip

REQUEST = FrameRequest(most=4, side_px=288)
DARK, BRIGHT = 10, 245
"""Luma of 255 up to which a pixel is crushed, and from which it is blown."""
BLACK = 28
"""Luma up to which a pixel can belong to a bar: codecs ring beside the picture."""
BAR_SHARE, LEAST_BAR = 0.99, 0.02
"""Share of a row's or column's pixels that are black in a bar, and the least width of a bar, of the frame's side."""
BLUR_PX = 11


class Look:
    """`sharpness`: 1 minus Crete's blur, 0 to 1. `crushed`, `blown`: shares of the pixels inside the bars.
    `brightness`: mean luma, 0 to 1. `bars`: share of the frame that black bars cover; `content_box`: what they leave,
    (left, top, right, bottom) as fractions. `colourfulness`: 0 gray, 15 slightly, 45 averagely, 109 extremely."""

    name, version = "look", 1
    columns: tuple[Column, ...] = (
        Column("sharpness", "float", "sharpness"),
        Column("crushed", "float", "crushed shadows"),
        Column("blown", "float", "blown highlights"),
        Column("brightness", "float", "brightness"),
        Column("bars", "float", "black bars"),
        Column("content_box", "list", "box inside the bars"),
        Column("colourfulness", "float", "colourfulness"),
    )
    reads = (REQUEST,)

    def __init__(self, settings: CurationSettings) -> None:
        del settings

    def open(self) -> None:
        pass

    def measure(self, clip: CutClip) -> dict[str, Any]:
        frames_FHWC = clip.frames(most=REQUEST.most, side_px=REQUEST.side_px)
        luma_FHW = luma(frames_FHWC)
        height, width = luma_FHW.shape[1:]
        left, top, right, bottom = content_box(luma_FHW)
        inside_FHW = luma_FHW[:, top:bottom, left:right]
        box = [left / width, top / height, right / width, bottom / height]
        return {
            "sharpness": float(np.mean([1.0 - blur(one_HW) for one_HW in inside_FHW])),
            "crushed": float((inside_FHW <= DARK).mean()),
            "blown": float((inside_FHW >= BRIGHT).mean()),
            "brightness": float(inside_FHW.mean()) / 255,
            "bars": 1.0 - (box[2] - box[0]) * (box[3] - box[1]),
            "content_box": box,
            "colourfulness": colourfulness(frames_FHWC[:, top:bottom, left:right]),
        }


def luma(frames_FHWC: np.ndarray) -> np.ndarray:
    """BT.601 luma of RGB frames, uint8 (F, H, W)."""
    import cv2

    return np.stack([cv2.cvtColor(np.ascontiguousarray(one), cv2.COLOR_RGB2GRAY) for one in frames_FHWC])


def content_box(luma_FHW: np.ndarray) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) in px inside black bars that all frames have. Bars are in pairs, above and
    below or left and right, so a night sky is none; a black clip has none."""
    black_HW = np.all(luma_FHW <= BLACK, axis=0)
    height, width = black_HW.shape
    top, bottom = _pair(black_HW.mean(1) >= BAR_SHARE)
    inner_HW = black_HW[top : height - bottom]
    left, right = _pair(inner_HW.mean(0) >= BAR_SHARE)
    return left, top, width - right, height - bottom


def _pair(is_bar_N: np.ndarray) -> tuple[int, int]:
    """The widths of the bars at both ends of an axis; 0, 0 unless both are there."""
    if is_bar_N.all():
        return 0, 0
    first, last = int(np.argmin(is_bar_N)), int(np.argmin(is_bar_N[::-1]))
    least = max(1, round(LEAST_BAR * len(is_bar_N)))
    return (first, last) if min(first, last) >= least else (0, 0)


def blur(luma_HW: np.ndarray) -> float:
    """The blur of a picture, 0 to 1: the share of its variation between neighbours that a box filter of BLUR_PX does
    not take away, in the worse direction. A picture without any variation has 0."""
    import cv2

    plane_HW = luma_HW.astype(np.float32) / 255
    shares = []
    for axis in (0, 1):
        kernel = (1, BLUR_PX) if axis == 0 else (BLUR_PX, 1)
        blurred_HW = cv2.blur(plane_HW, kernel, borderType=cv2.BORDER_REFLECT)
        sharp_HW = np.abs(cv2.Sobel(plane_HW, cv2.CV_32F, axis, 1 - axis, borderType=cv2.BORDER_REFLECT))
        soft_HW = np.abs(cv2.Sobel(blurred_HW, cv2.CV_32F, axis, 1 - axis, borderType=cv2.BORDER_REFLECT))
        lost_HW = np.maximum(0, sharp_HW - soft_HW)
        edge = (slice(2, -1), slice(2, -1))
        whole, lost = float(sharp_HW[edge].sum()), float(lost_HW[edge].sum())
        shares.append(abs(whole - lost) / whole if whole > 0 else 0.0)
    return max(shares)


def colourfulness(frames_FHWC: np.ndarray) -> float:
    """Hasler and Suesstrunk's M3, over all pixels of all frames."""
    red, green, blue = np.moveaxis(frames_FHWC.astype(np.float32), -1, 0)
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    spread = float(np.hypot(red_green.std(dtype=np.float64), yellow_blue.std(dtype=np.float64)))
    mean = float(np.hypot(red_green.mean(dtype=np.float64), yellow_blue.mean(dtype=np.float64)))
    return spread + 0.3 * mean
