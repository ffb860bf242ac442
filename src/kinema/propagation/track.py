"""Following an object that moves by itself: its displacement from the present frame to the frames around it.

Legend: H W pixels of a part of the present frame, C channels, Y X displacements that are tried. Other frames are
brought to the present one by the camera's motion; a displacement (x, y) px is what remains, the object's own motion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..media.masks import box_around, grown
from .camera import View
from .candidate import projected, sampled, visible
from .hole import Hole
from .sources import Linked

REACH = 12
"""Frames before and after the present one in which an object is followed that is in sight. One that is hidden is looked
for as far as there are frames."""
COARSE_PX = 48
"""The template's longer side, in steps, in the first search."""
FIRST = 0.06
"""First search: the displacement from one frame to the next, as a fraction of the frame's longer side."""
SLACK_PX, DRIFT_PX = 3.0, 2.0
"""Search around a prediction: in any case, and for each frame since the object was last found."""
SHOWN = 0.4
"""Fraction of the template that a frame must show."""
FIT, MOST, MOVED = 0.6, 30.0, 10.0
"""Root mean square difference of a match, of 255: at most the first times that without own motion, and at most the
second. Without own motion it is at least the third."""
LOST = 3
"""Frames in which the object is not found though its place is shown, one after the other, until it is given up."""
EDGE_PX = 2
LEAST_WEIGHT = 0.01


@dataclass(frozen=True)
class ObjectTemplate:
    """An object's known pixels. part: rows and columns of the frame. colors_HWC: float32. weight_HW: float32, 0 where
    it is not."""

    part: tuple[slice, slice]
    colors_HWC: np.ndarray
    weight_HW: np.ndarray

    @classmethod
    def of(cls, hole: Hole, object_HW: np.ndarray, moved_HW: np.ndarray) -> ObjectTemplate:
        """object_HW: known pixels, not none. moved_HW: their difference from other frames without own motion. Pixels
        that differ most count most: a piece of the background that was taken for a part of the object counts little."""
        there_HW = grown(object_HW, EDGE_PX) & hole.known_HW
        box = box_around(there_HW)
        assert box is not None
        rows, columns = slice(box[1], box[3]), slice(box[0], box[2])
        most = max(1.0, float(np.percentile(moved_HW[object_HW], 90)))
        weight_HW = np.clip((moved_HW / most) ** 2, LEAST_WEIGHT, 1) * there_HW
        top, left = (each.start for each in hole.part)
        part = (slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop))
        return cls(part, hole.true_HWC[rows, columns], weight_HW[rows, columns].astype(np.float32))


def followed(
    template: ObjectTemplate, now: int, linked: Sequence[Linked], guess: Mapping[int, np.ndarray]
) -> dict[int, np.ndarray]:
    """The template's displacement, float64 (2,), by index, in the frames in which it is found, the present one
    included. linked: frames with the homographies to them. guess: displacements that were found before."""
    frames = {source.index: (source, to_33) for source, to_33 in linked}
    found = {now: np.zeros(2)}
    for side in (1, -1):
        last, speed, gap, missed, index = np.zeros(2), None, 1, 0, now + side
        while index in frames and (abs(index - now) <= REACH or gap > 1):
            if index in guess:
                middle, reach_px = guess[index], SLACK_PX
            elif speed is not None:
                middle, reach_px = last + speed * gap, SLACK_PX + DRIFT_PX * gap
            else:
                middle, reach_px = last, FIRST * gap * max(frames[index][0].mask_HW.shape)
            place, fits = _matched(template, *frames[index], middle, reach_px)
            missed = 0 if fits else missed + (place is not None)
            if missed >= LOST:
                break
            if fits and place is not None:
                found[index], speed, last, gap = place, (place - last) / gap, place, 0
            index, gap = index + side, gap + 1
    return found


def interpolated(found: Mapping[int, np.ndarray], indices: Sequence[int]) -> dict[int, np.ndarray]:
    """Displacements at the indices from the first to the last one that is known, linear in time between known ones."""
    known = sorted(found)
    places_N2 = np.array([found[k] for k in known])
    wanted = [k for k in indices if known[0] <= k <= known[-1]]
    return {k: np.array([np.interp(k, known, places_N2[:, axis]) for axis in (0, 1)]) for k in wanted}


def extrapolated(found: Mapping[int, np.ndarray], index: int) -> np.ndarray | None:
    """The displacement at an index, beyond the known ones at constant speed; None if fewer than two are known."""
    if index in found or len(found) < 2:
        return found.get(index)
    known = sorted(found)
    known = known[:LOST] if index < known[0] else known[: -LOST - 1 : -1]
    near, far = known[0], known[-1]
    return found[near] + (found[near] - found[far]) * ((index - near) / (near - far))


def _matched(
    template: ObjectTemplate, view: View, camera_33: np.ndarray, middle: np.ndarray, reach_px: float
) -> tuple[np.ndarray | None, bool]:
    """(displacement, whether the template fits there); None if too little of it is visible. Two searches: on every
    n-th pixel, then on all."""
    step = max(1, round(max(template.weight_HW.shape) / COARSE_PX))
    stages = [(step, reach_px), (1, step + 1.0)] if reach_px > 2 * step > 2 else [(1, reach_px)]
    at, least = np.rint(middle), 0.0
    for each, px in stages:
        reach = int(np.ceil(px / each))
        cost_YX = _costs(template, view, camera_33, np.rint(at), each, reach)
        if not np.isfinite(cost_YX).any():
            return None, False
        y, x = np.unravel_index(int(cost_YX.argmin()), cost_YX.shape)
        least = float(cost_YX[y, x])
        part = np.array([_vertex(cost_YX[y], int(x)), _vertex(cost_YX[:, x], int(y))])
        at = np.rint(at) + (np.array([x, y]) + part - reach) * each
    rest = float(_costs(template, view, camera_33, np.zeros(2), 1, 0, shown=0.1)[0, 0])
    return at, rest > MOVED**2 and least < min(MOST**2, FIT**2 * rest)


def _vertex(values: np.ndarray, k: int) -> float:
    """Offset of the minimum of the parabola through values k - 1, k and k + 1 from k, within half a step."""
    if not 0 < k < len(values) - 1 or not np.isfinite(values[k - 1 : k + 2]).all():
        return 0.0
    left, middle, right = (float(each) for each in values[k - 1 : k + 2])
    bend = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend > 1e-6 else 0.0


def _costs(
    template: ObjectTemplate,
    view: View,
    camera_33: np.ndarray,
    at: np.ndarray,
    step: int,
    reach: int,
    shown: float = SHOWN,
) -> np.ndarray:
    """Weighted mean square difference, of 255 squared, for each displacement at + step * (x, y) with x and y from
    -reach to reach, (Y, X); infinite where less than a fraction of the template is shown."""
    weight_HW, colors_HWC = template.weight_HW, template.colors_HWC
    if step > 1:
        weight_HW, colors_HWC = weight_HW[::step, ::step], cv2.blur(colors_HWC, (step, step))[::step, ::step]
    top, left = (each.start for each in template.part)
    height, width = weight_HW.shape
    y = (np.arange(height + 2 * reach) - reach) * step + top + at[1]
    x = (np.arange(width + 2 * reach) - reach) * step + left + at[0]
    place_HW2 = projected(np.stack(np.meshgrid(x, y), -1).astype(np.float32), camera_33)
    picture_HWC, seen_HW = sampled(view, place_HW2) - 128, visible(view, place_HW2).astype(np.float32)
    share_YX = _correlated(seen_HW, weight_HW)
    square_YX = np.zeros_like(share_YX)
    for there_HW, here_HW in zip(np.moveaxis(picture_HWC, -1, 0), np.moveaxis(colors_HWC - 128, -1, 0)):
        square_YX += _correlated(seen_HW, weight_HW * here_HW * here_HW)
        square_YX += _correlated(seen_HW * there_HW * there_HW, weight_HW)
        square_YX -= 2 * _correlated(seen_HW * there_HW, weight_HW * here_HW)
    mean_YX = np.maximum(square_YX, 0) / (np.maximum(share_YX, 1e-3) * colors_HWC.shape[-1])
    return np.where(share_YX >= shown * float(weight_HW.sum()), mean_YX, np.inf)


def _correlated(picture_HW: np.ndarray, template_HW: np.ndarray) -> np.ndarray:
    template_HW = np.ascontiguousarray(template_HW, np.float32)
    return cv2.matchTemplate(np.ascontiguousarray(picture_HW, np.float32), template_HW, cv2.TM_CCORR)
