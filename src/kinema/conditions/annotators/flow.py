"""Optical flow and its colour coding. Legend: H W height and width; 2 (x, y) in pixels, x to the right, y down.

Source: the colour wheel of Baker and others, "A database and evaluation methodology for optical flow", 2011 (section
4.1 and its published code): direction as hue in 55 perceptually spaced steps, length as saturation.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from ...media.displacement import displacement
from .gray import luma
from .steady import Peak

SEGMENTS = (
    (15, (255, 0, 0), (255, 255, 0)),  # red to yellow
    (6, (255, 255, 0), (0, 255, 0)),  # yellow to green
    (4, (0, 255, 0), (0, 255, 255)),  # green to cyan
    (11, (0, 255, 255), (0, 0, 255)),  # cyan to blue
    (13, (0, 0, 255), (255, 0, 255)),  # blue to magenta
    (6, (255, 0, 255), (255, 0, 0)),  # magenta to red
)
"""The wheel: number of hues from one colour (included) to the next (excluded). It starts at "right" and turns clockwise
on the screen: right red, down yellow, left cyan to blue, up violet."""
LEAST_PX = 1.0
"""Minimum full-colour motion, so that noise in nearly still frames stays pale."""
LONGEST = 0.999
"""Quantile of a frame's motion that counts as the longest, to ignore outliers."""


def draw(frames: Iterator[np.ndarray], scale_px: float | None = None) -> Iterator[np.ndarray]:
    """Yield the flow from each frame to the next in colours, uint8. The first is repeated, so that frame n shows the
    motion between n - 1 and n and the number of frames is kept (as in VACE). A single frame is drawn as no motion.

    scale_px: the motion with full colour. None: the longest motion of each frame (as in RAFT's drawing and VACE), but
    at least LEAST_PX, and decaying slowly after a fast frame, so that colours do not pump. A colour stands for one
    speed within a frame, and nearly so between frames.
    """
    peak = Peak(0.15)
    last_HW: np.ndarray | None = None
    count = 0
    for frame_HW3 in frames:
        gray_HW = luma(frame_HW3)
        if last_HW is not None:
            flow_HW2 = displacement(last_HW, gray_HW)
            longest = float(np.quantile(np.hypot(flow_HW2[..., 0], flow_HW2[..., 1]), LONGEST))
            drawn_HW3 = paint(flow_HW2, scale_px or peak(max(longest, LEAST_PX)))
            if count == 1:
                yield drawn_HW3.copy()
            yield drawn_HW3
        last_HW = gray_HW
        count += 1
    if count == 1 and last_HW is not None:
        yield np.full((*last_HW.shape, 3), 255, np.uint8)


def backward(values_HW: np.ndarray, flow_HW2: np.ndarray) -> np.ndarray:
    """Sample values at the pixels that the flow points to (float32, bilinear, border replicated)."""
    import cv2

    height, width = values_HW.shape
    x_HW = np.arange(width, dtype=np.float32) + flow_HW2[..., 0]
    y_HW = np.arange(height, dtype=np.float32)[:, None] + flow_HW2[..., 1]
    return cv2.remap(values_HW, x_HW, y_HW, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@cache
def wheel() -> np.ndarray:
    """The 55 hues as float32 RGB 0..255, shape (55, 3)."""
    hues = [
        np.array(first) + np.floor(255 * step / count) * np.sign(np.subtract(second, first))
        for count, first, second in SEGMENTS
        for step in range(count)
    ]
    return np.array(hues, np.float32)


def paint(flow_HW2: np.ndarray, scale_px: float) -> np.ndarray:
    """Draw a flow in the wheel's colours, uint8 (H, W, 3): no motion is white, `scale_px` has full colour, longer
    motion is darker by a quarter."""
    hues = wheel()
    u_HW, v_HW = flow_HW2[..., 0], flow_HW2[..., 1]
    turn_HW = np.arctan2(v_HW, u_HW) / (2 * np.pi) % 1.0  # 0 to the right, a quarter down
    place_HW = turn_HW * (len(hues) - 1)
    low_HW = np.minimum(place_HW.astype(np.int32), len(hues) - 2)
    part_HW1 = (place_HW - low_HW)[..., None]
    hue_HW3 = hues[low_HW] * (1 - part_HW1) + hues[low_HW + 1] * part_HW1
    length_HW1 = (np.hypot(u_HW, v_HW) / scale_px)[..., None]
    # Tolerance for rounding: the longest motion itself must not count as longer.
    color_HW3 = np.where(length_HW1 <= 1 + 1e-5, 255 - np.minimum(length_HW1, 1) * (255 - hue_HW3), 0.75 * hue_HW3)
    return color_HW3.astype(np.uint8)
