"""Does a picture look like Toyland? Three measures of a small copy of it, and a line between them.

    off      mean distance of its pixels to the nearest colour of the best fitting place, in steps of 255
    flat     share of its pixels whose 3 x 3 neighbours are all within 8 steps
    gray     share of its pixels that have no colour of their own

Fitted by logistic regression on 750 renders of three worlds (half of them JPEG), 40 frames that the miniatures drew and
44 photographs, paintings, scans and logos. On these, at 0: 0.0 % of the miniatures' world, 1.2 % of the world with all
kinds and 3.6 % of all styles are called foreign; one foreign picture in 44 (a rocket before a blue sky) is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from .palette import INK, OBJECT_COLORS, OBJECT_LIGHT, PLACES

if TYPE_CHECKING:
    import numpy as np

SIDE_PX = 64
OFF, FLAT, GRAY, BIAS = 0.15707, -3.17908, 10.32463, -3.61256
FAR, LEVEL, COLORLESS = 80.0, 8, 12
MOST_PIXELS = 4096


def foreignness(pictures: Sequence[np.ndarray]) -> float:
    """How unlike Toyland uint8 pictures (H, W, 3) are, as the mean of their log odds; above 0 = not Toyland."""
    import numpy as np

    return float(np.mean([OFF * off + FLAT * flat + GRAY * gray + BIAS for off, flat, gray in map(measures, pictures)]))


def measures(picture_HWC: np.ndarray) -> tuple[float, float, float]:
    """(off, flat, gray) of one picture, see above."""
    import cv2
    import numpy as np

    height, width = picture_HWC.shape[:2]
    small = np.ascontiguousarray(picture_HWC)
    if (scale := SIDE_PX / min(height, width)) < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    kernel = np.ones((3, 3), np.uint8)
    change = (cv2.dilate(small, kernel).astype(int) - cv2.erode(small, kernel)).max(2)
    colorless = small.max(2).astype(int) - small.min(2) < COLORLESS
    return _off(small), float((change <= LEVEL).mean()), float(colorless.mean())


def _off(small_HWC: np.ndarray) -> float:
    import numpy as np

    pixels_N3 = small_HWC.reshape(-1, 3).astype(np.float32)
    if len(pixels_N3) > MOST_PIXELS:
        pixels_N3 = pixels_N3[np.linspace(0, len(pixels_N3) - 1, MOST_PIXELS).astype(int)]
    squares_N = np.sum(pixels_N3**2, axis=1)
    best = np.inf
    for top, horizon, colors_C3 in _places():
        nearest_N = np.min(
            squares_N[:, None] - 2 * pixels_N3 @ colors_C3.T + np.sum(colors_C3**2, axis=1), axis=1
        )  # all distances to all colours, squared
        along = horizon - top
        part_N = np.clip((pixels_N3 - top) @ along / (along @ along), 0, 1)
        sky_N = np.sum((pixels_N3 - top - part_N[:, None] * along) ** 2, axis=1)
        distance_N = np.sqrt(np.maximum(np.minimum(nearest_N, sky_N), 0))
        best = min(best, float(np.minimum(distance_N, FAR).mean()))
    return best


@cache
def _places() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each place and light: the sky's two ends, and all other colours that are seen there."""
    import numpy as np

    found = []
    for lights in PLACES.values():
        for light, colors in lights.items():
            tint = np.array(OBJECT_LIGHT[light], np.float32) / 255
            objects = [np.array(color, np.float32) * tint for color in OBJECT_COLORS.values()]
            others = np.stack([*np.array(colors[2:], np.float32), *objects, np.array(INK, np.float32)])
            found.append((np.array(colors[0], np.float32), np.array(colors[1], np.float32), others))
    return found
