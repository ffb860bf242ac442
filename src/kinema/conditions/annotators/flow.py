"""Optical flow and its colour coding. Legend: H W height and width; 2 (x, y) in pixels, x to the right, y down.

Sources: Kroeger and others, "Fast optical flow using dense inverse search", 2016, in OpenCV's implementation; the
colour wheel of Baker and others, "A database and evaluation methodology for optical flow", 2011 (section 4.1 and its
published code): direction as hue in 55 perceptually spaced steps, length as saturation.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

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
FINE_UP_TO_PX = 544
"""Pictures with a shorter side up to this are matched pixel by pixel; larger ones at half size, four times as fast."""
CHANGE = 1.0
"""Blurred difference between two frames, in gray levels of 256, above which a pixel has changed."""
DETAIL = 24
"""Sobel gradient above which a pixel has detail, so that its motion would be visible."""
SMALLEST_PX = 32
"""Minimum size of the method: smaller pictures are scaled up for it."""


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


def displacement(from_HW: np.ndarray, to_HW: np.ndarray, fast: bool = False) -> np.ndarray:
    """The displacement of each pixel between two uint8 gray pictures: float32 (H, W, 2), in px. `fast`: ten times as
    fast and less accurate."""
    import cv2

    # The result of the method depends on the number of threads.
    cv2.setNumThreads(1)
    height, width = from_HW.shape
    preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if fast else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    method = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
    if not fast:
        method.setFinestScale(0 if min(height, width) <= FINE_UP_TO_PX else 1)
    wide, tall = max(width, SMALLEST_PX), max(height, SMALLEST_PX)
    if (wide, tall) == (width, height):
        flow_HW2 = method.calc(from_HW, to_HW, None)
    else:
        flow_HW2 = method.calc(*(cv2.resize(each, (wide, tall)) for each in (from_HW, to_HW)), None)
        flow_HW2 = cv2.resize(flow_HW2, (width, height)) * np.array([width / wide, height / tall], np.float32)
    return flow_HW2 * may_have_moved(from_HW, to_HW)[..., None]


def may_have_moved(from_HW: np.ndarray, to_HW: np.ndarray) -> np.ndarray:
    """Return where motion is possible, float32 (H, W): 1 where it is, 0 elsewhere, with soft borders.

    In textureless areas the method extends the motion of a nearby object, or amplifies codec noise. If the camera is
    still (most pixels with detail are unchanged), pixels that are unchanged and not between changed ones in their row
    or column (as in the plain interior of a moving object) have no motion.
    """
    import cv2

    spread_px = max(1.0, min(from_HW.shape) / 240)
    change_HW = cv2.GaussianBlur(cv2.absdiff(from_HW, to_HW).astype(np.float32), (0, 0), spread_px)
    changed_HW = change_HW > CHANGE
    across_HW, down_HW = cv2.spatialGradient(from_HW)
    detailed_HW = np.abs(across_HW) + np.abs(down_HW) > DETAIL
    if 2 * (changed_HW & detailed_HW).sum() > detailed_HW.sum():
        return np.ones(from_HW.shape, np.float32)
    between_HW = np.zeros_like(changed_HW)
    for axis in (0, 1):
        before_HW = np.maximum.accumulate(changed_HW, axis)
        after_HW = np.flip(np.maximum.accumulate(np.flip(changed_HW, axis), axis), axis)
        between_HW |= before_HW & after_HW
    return cv2.GaussianBlur(between_HW.astype(np.float32), (0, 0), spread_px)


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
