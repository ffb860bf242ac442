"""The shadow or reflection of an object that is removed: where the clip differs from its own background next to it.

The area around the object is filled as well. Where the clip agrees with that fill, its own pixels stay; where it
differs, connected to the object, the fill is used.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ..media.masks import box_around, disc, grown
from ..propagation.frame import FilledFrame, Origin

MARGIN, LEAST_PX = 0.6, 8
"""How far from an object its shadow is looked for, as a fraction of its size, and at least."""
LEAST, NOISE = 6.0, 4.0
"""A shadow differs from the background by this much, of 255, and by this multiple of the noise there."""
BLUR_PX = 1.5
SOFT_PX = 3
"""The edge of a shadow fades over this distance."""


def around(object_HW: np.ndarray) -> np.ndarray:
    """Return the mask of an object grown by the distance at which its shadow is looked for, bool."""
    box = box_around(object_HW)
    if box is None:
        return object_HW
    margin_px = max(LEAST_PX, round(MARGIN * max(box[2] - box[0], box[3] - box[1])))
    distance = cv2.distanceTransform((~object_HW).astype(np.uint8), cv2.DIST_L2, 3)
    return distance <= margin_px


def with_shadow(
    frame_HWC: np.ndarray, filled: FilledFrame, object_HW: np.ndarray, hole_HW: np.ndarray
) -> tuple[FilledFrame, np.ndarray]:
    """Return the filled frame with the clip's own pixels where it shows neither the object nor its shadow, and the area
    that was removed, bool.

    filled: of the whole hole_HW, which holds the object with a margin. Pixels whose background is not known from other
    frames are never taken for a shadow.
    """
    if not object_HW.any():
        return replace(filled, frame_HWC=frame_HWC, origin_HW=np.zeros_like(filled.origin_HW)), object_HW
    known_HW = hole_HW & ~object_HW & (filled.origin_HW == Origin.PROPAGATED)
    removed_HW = object_HW
    if known_HW.any():
        before, after = (
            cv2.GaussianBlur(each, (0, 0), BLUR_PX).astype(np.float32) for each in (frame_HWC, filled.frame_HWC)
        )
        apart_HW = np.abs(before - after).max(-1)
        differs_HW = known_HW & (apart_HW > max(LEAST, NOISE * float(np.percentile(apart_HW[known_HW], 25))))
        differs_HW = cv2.morphologyEx(differs_HW.astype(np.uint8), cv2.MORPH_OPEN, disc(1)) > 0
        _, part_HW = cv2.connectedComponents((differs_HW | object_HW).astype(np.uint8), connectivity=8)
        touching = np.unique(part_HW[grown(object_HW, 2) & (part_HW > 0)])
        removed_HW = grown(object_HW | (np.isin(part_HW, touching) & differs_HW), SOFT_PX) & hole_HW
    weight_HW = np.maximum(cv2.GaussianBlur(removed_HW.astype(np.float32), (0, 0), SOFT_PX / 2), object_HW)
    weight_HW = np.where(known_HW | object_HW, weight_HW, 0)[..., None]
    mixed_HWC = np.rint(frame_HWC + weight_HW * (filled.frame_HWC.astype(np.float32) - frame_HWC)).astype(np.uint8)
    origin_HW = np.where(removed_HW, filled.origin_HW, Origin.KEPT).astype(np.uint8)
    return replace(filled, frame_HWC=mixed_HWC, origin_HW=origin_HW), removed_HW
