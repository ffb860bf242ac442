"""Tracking of an object that moves by itself: its position in the frames around the present one.

Legend: H W pixels of a part of the present frame, C channels. Positions in other frames are brought to the present
frame by the camera's motion first: a displacement is what remains, the object's own motion.
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

REACH = 12
"""Frames before and after the present one that an object is followed in while it is in sight."""
COARSE_PX = 48
"""The template's longer side at the resolution of the first search."""
FIRST = 0.06
"""First search: displacement from one frame to the next, of the frame's longer side."""
SLACK_PX, DRIFT_PX = 3.0, 2.0
"""Search around a prediction: constant, and for each frame that the prediction spans."""
SHOWN = 0.4
"""Fraction of the template that a frame must show."""
FIT, MOST = 0.6, 30.0
"""Root mean square difference of a match: below this fraction of that without own motion, and below this, of 255."""
MOVED = 10.0
"""Without own motion, the difference of an object that moves is at least this, of 255."""
LOST = 3
"""Frames that show the place but not the object, one after the other, after which it is given up."""
EDGE_PX = 2


@dataclass(frozen=True)
class Template:
    """An object's known pixels in the present frame. part: rows and columns of the frame. colors_HWC: float32.
    weight_HW: float32, 1 = the object or its outline."""

    part: tuple[slice, slice]
    colors_HWC: np.ndarray
    weight_HW: np.ndarray

    @classmethod
    def of(cls, hole: Hole, object_HW: np.ndarray, weight_HW: np.ndarray) -> Template:
        """object_HW: not empty. weight_HW: how much each of its pixels counts."""
        there_HW = grown(object_HW, EDGE_PX) & hole.known_HW
        box = box_around(there_HW)
        assert box is not None
        rows, columns = slice(box[1], box[3]), slice(box[0], box[2])
        part = tuple(slice(at.start + each.start, at.start + each.stop) for at, each in zip(hole.part, (rows, columns)))
        return cls(part, hole.true_HWC[rows, columns], (weight_HW * there_HW)[rows, columns].astype(np.float32))


def followed(
    template: Template, now: int, views: Mapping[int, View], camera: Mapping[int, np.ndarray],
    guess: Mapping[int, np.ndarray],
) -> dict[int, np.ndarray]:  # fmt: skip
    """The template's displacement (x, y) px, float64 (2,), in each frame in which it was found. camera: homographies
    from the present frame, by index. guess: displacements found before."""
    found = {now: np.zeros(2)}
    for side in (1, -1):
        last, speed, gap, missed = np.zeros(2), None, 0, 0
        index = now
        while True:
            index, gap = index + side, gap + 1
            if index not in views or index not in camera or (abs(index - now) > REACH and not missed and gap == 1):
                break
            known = guess.get(index)
            middle = known if known is not None else last + (speed * gap if speed is not None else 0)
            reach_px = SLACK_PX + (0 if known is not None else DRIFT_PX * gap)
            if known is None and speed is None:
                reach_px = FIRST * gap * max(views[index].mask_HW.shape)
            place = _matched(template, views[index], camera[index], np.asarray(middle), reach_px)
            if place is None:
                continue  # hidden
            if not place[1]:
                missed += 1
                if missed >= LOST:
                    break
                continue
            speed = (place[0] - last) / gap
            last, gap, missed = place[0], 0, 0
            found[index] = place[0]
    return found


def _matched(
    template: Template, view: View, camera_33: np.ndarray, middle: np.ndarray, reach_px: float
) -> tuple[np.ndarray, bool] | None:
    """(displacement, whether it fits); None if too little of the template is visible."""
    side = max(template.weight_HW.shape)
    step = max(1, round(side / COARSE_PX))
    at, fits = np.rint(middle), False
    stages = [(step, reach_px), (1, float(step + 1))] if step > 1 and reach_px > 2 * step else [(1, reach_px)]
    for each, px in stages:
        cost_YX, rest = _costs(template, view, camera_33, at, each, int(np.ceil(px / each)))
        if cost_YX is None or not np.isfinite(cost_YX).any():
            return None
        y, x = np.unravel_index(int(np.nanargmin(np.where(np.isfinite(cost_YX), cost_YX, np.inf))), cost_YX.shape)
        least, size = float(cost_YX[y, x]), cost_YX.shape[0] // 2
        more = np.array([_vertex(cost_YX[y, :], x), _vertex(cost_YX[:, x], y)])
        at = at + (np.array([x, y]) + more - size) * each
        fits = rest > MOVED**2 and np.sqrt(least) < min(MOST, FIT * np.sqrt(rest))
        if each > 1:
            at = np.rint(at)
    return at, fits


def _vertex(values: np.ndarray, k: int) -> float:
    """Offset of the minimum of a parabola through values k - 1, k, k + 1, within half a step."""
    if not 0 < k < len(values) - 1 or not np.isfinite(values[k - 1 : k + 2]).all():
        return 0.0
    left, middle, right = (float(each) for each in values[k - 1 : k + 2])
    bend = left - 2 * middle + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend > 1e-6 else 0.0


def _costs(
    template: Template, view: View, camera_33: np.ndarray, at: np.ndarray, step: int, reach: int
) -> tuple[np.ndarray | None, float]:
    """(mean square difference for each displacement at + step * (x, y), |x|, |y| <= reach, (2 reach + 1,) * 2; inf
    where too little is visible; the same for no displacement)."""
    rows, columns = template.part
    margin = reach * step
    weight_HW, colors_HWC = template.weight_HW, template.colors_HWC
    height, width = (len(range(0, n, step)) for n in weight_HW.shape)
    y = np.arange(height + 2 * reach) * step + rows.start - margin
    x = np.arange(width + 2 * reach) * step + columns.start - margin
    grid_HW2 = np.stack(np.meshgrid(x + at[0], y + at[1]), -1).astype(np.float32)
    if step > 1:
        weight_HW, colors_HWC = weight_HW[::step, ::step], cv2.blur(colors_HWC, (step, step))[::step, ::step]

    def there(grid_HW2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place_HW2 = projected(grid_HW2, camera_33)
        seen_HW = visible(view, place_HW2).astype(np.float32)
        return sampled(view, place_HW2), seen_HW

    picture_HWC, seen_HW = there(grid_HW2)
    total = float(weight_HW.sum())
    share_YX = _correlated(seen_HW, weight_HW)
    square_YX = np.zeros_like(share_YX)
    for k in range(colors_HWC.shape[-1]):
        mine, other = weight_HW * (colors_HWC[..., k] - 128), seen_HW * (picture_HWC[..., k] - 128)
        square_YX += _correlated(seen_HW, mine * (colors_HWC[..., k] - 128))
        square_YX += _correlated(other * (picture_HWC[..., k] - 128), weight_HW) - 2 * _correlated(other, mine)
    share = np.maximum(share_YX, 1e-3) * colors_HWC.shape[-1]
    cost_YX = np.where(share_YX >= SHOWN * total, np.maximum(square_YX, 0) / share, np.inf)
    still_HW2 = np.stack(np.meshgrid(np.arange(width) * step + columns.start, np.arange(height) * step + rows.start), -1)
    rest_HWC, sees_HW = there(still_HW2.astype(np.float32))
    both_HW = weight_HW * sees_HW
    rest = float((both_HW * np.square(rest_HWC - colors_HWC).mean(-1)).sum() / max(1e-3, both_HW.sum()))
    return cost_YX, rest if both_HW.sum() > 0.1 * total else np.inf


def _correlated(picture_HW: np.ndarray, template_HW: np.ndarray) -> np.ndarray:
    return cv2.matchTemplate(
        np.ascontiguousarray(picture_HW, np.float32), np.ascontiguousarray(template_HW, np.float32), cv2.TM_CCORR
    )


def interpolated_positions(found: Mapping[int, np.ndarray], indices: Sequence[int]) -> dict[int, np.ndarray]:
    """Displacements at all indices between the first and the last one found: linear in time."""
    known = sorted(found)
    wanted = [k for k in indices if known[0] <= k <= known[-1]]
    places_N2 = np.array([found[k] for k in known])
    return {k: np.array([np.interp(k, known, places_N2[:, c]) for c in (0, 1)]) for k in wanted}


def extrapolated(positions: Mapping[int, np.ndarray], index: int) -> np.ndarray | None:
    """The displacement at an index, beyond the known ones at constant speed; None if nothing is known."""
    if index in positions or len(positions) < 2:
        return positions.get(index)
    known = sorted(positions)
    near, other = (known[0], known[min(3, len(known) - 1)]) if index < known[0] else (known[-1], known[-min(4, len(known))])
    return positions[near] + (positions[near] - positions[other]) * ((index - near) / (near - other))
