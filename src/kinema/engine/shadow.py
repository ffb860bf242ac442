"""The shadow or reflection of an object that is removed: where the clip differs from its own background next to it.

The area around the object is filled from other frames as well. Where the clip differs from that fill, connected to the
object, it shows the shadow. The fill itself is used for nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from ..media.masks import box_around, disc, grown
from ..propagation.fill import fill
from ..propagation.frame import Origin

Masked = tuple[np.ndarray, np.ndarray]
"""(frame uint8 (H, W, 3), mask bool (H, W))."""
MARGIN, LEAST_PX = 0.6, 8
"""How far from an object its shadow is looked for, as a fraction of its size, and at least."""
LEAST, NOISE = 6.0, 4.0
"""A shadow differs from the background by this much, of 255, and by this multiple of the noise there."""
BLUR_PX = 1.5
EDGE_PX = 3
"""The soft edge of a shadow, added to what differs."""


def with_shadows(frames: Iterable[Masked]) -> Iterator[Masked]:
    """Yield each frame with its mask and the shadow of what the mask hides. Memory does not grow with length."""
    given: deque[tuple[np.ndarray, np.ndarray, np.ndarray]] = deque()

    def areas() -> Iterator[Masked]:
        for frame_HWC, object_HW in frames:
            given.append((frame_HWC, object_HW, around(object_HW)))
            yield frame_HWC, given[-1][2]

    for found in fill(areas(), patch=None):
        frame_HWC, object_HW, area_HW = given.popleft()
        known_HW = area_HW & ~object_HW & (found.origin_HW == Origin.PROPAGATED)
        yield frame_HWC, object_HW | shadow(frame_HWC, found.frame_HWC, object_HW, known_HW)


def around(object_HW: np.ndarray) -> np.ndarray:
    """Return the mask of an object grown by the distance at which its shadow is looked for, bool."""
    box = box_around(object_HW)
    if box is None:
        return object_HW
    margin_px = max(LEAST_PX, round(MARGIN * max(box[2] - box[0], box[3] - box[1])))
    return cv2.distanceTransform((~object_HW).astype(np.uint8), cv2.DIST_L2, 3) <= margin_px


def shadow(
    frame_HWC: np.ndarray, background_HWC: np.ndarray, object_HW: np.ndarray, known_HW: np.ndarray
) -> np.ndarray:
    """Return the shadow of an object, bool (H, W): pixels of known_HW, connected to the object, that differ from the
    background. known_HW: where the background is known from other frames."""
    if not object_HW.any() or not known_HW.any():
        return np.zeros_like(object_HW)
    before, after = (cv2.GaussianBlur(each, (0, 0), BLUR_PX).astype(np.float32) for each in (frame_HWC, background_HWC))
    apart_HW = np.abs(before - after).max(-1)
    differs_HW = known_HW & (apart_HW > max(LEAST, NOISE * float(np.percentile(apart_HW[known_HW], 25))))
    differs_HW = cv2.morphologyEx(differs_HW.astype(np.uint8), cv2.MORPH_OPEN, disc(1)) > 0
    _, part_HW = cv2.connectedComponents((differs_HW | object_HW).astype(np.uint8), connectivity=8)
    touching = np.unique(part_HW[grown(object_HW, 2) & (part_HW > 0)])
    found_HW = np.isin(part_HW, touching) & differs_HW
    return grown(found_HW, EDGE_PX) & known_HW if found_HW.any() else found_HW
