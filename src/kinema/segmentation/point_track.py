"""Tracking of points with OpenCV: from points or boxes on the first frame to a position on every frame.

Around each point, corners of the object are chosen (GrabCut separates it from its background, cut_out.py) and followed
by the pyramidal method of Lucas and Kanade. A corner counts only if the flow back returns to it (forward-backward
check; Kalal, Mikolajczyk and Matas, ICPR 2010). The corners that are left vote for a similarity transform (RANSAC), and
the point moves with it. To avoid drift, corners are matched with the first frame as long as they are found there. An
object that is hidden is searched for by its appearance, and its frames are marked.

Legend: F frames, N points, K corners, H W pixels. Positions are pixel indices: (0, 0) is the centre of the upper left
pixel. Two frames and the reference are held, however long the clip.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..core.conditions import Box, Point
from ..core.errors import MediaError, RequestError
from ..media.masks import grown
from . import cut_out
from .cut_out import SEED

SHORT_PX, LONG_PX = 256, 960
"""Frames are scaled up to a shorter side of SHORT_PX, or down to a longer side of LONG_PX, before tracking."""
CUT_PX = 320
"""Longer side of the picture in which the object at a point is segmented."""
RADIUS, WIDEST = 0.08, 0.3
"""Radius of the neighbourhood of a point, in fractions of the shorter side: grown until it has enough corners."""
ENOUGH, MOST = 12, 80
"""Corners per point."""
BACK_PX = 1.0
"""Maximum distance between a corner and where the flow forward and back leads."""
LEAST_SHARE = 0.3
"""Share of the corners below which an object is lost."""
ALIKE, FOUND = 0.35, 0.75
"""Correlation of the appearance with the reference below which an object is lost, and above which it is found again."""
_LK: dict[str, Any] = {
    "winSize": (21, 21), "maxLevel": 4, "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 0.01),
}  # fmt: skip
_STILL = np.array([[1, 0, 0], [0, 1, 0]], np.float64)


@dataclass(frozen=True)
class PointTrack:
    """positions_F2: px of the clip's frames; of frames without the object, the last position. seen_F: bool."""

    positions_F2: np.ndarray
    seen_F: np.ndarray

    def lost(self) -> list[tuple[int, int]]:
        """The runs of frames (first, last) without the object."""
        runs: list[tuple[int, int]] = []
        for frame in np.flatnonzero(~self.seen_F).tolist():
            if runs and runs[-1][1] == frame - 1:
                runs[-1] = (runs[-1][0], frame)
            else:
                runs.append((frame, frame))
        return runs


def track_points(
    frames: Iterable[np.ndarray], points: list[Point] | None = None, boxes: list[Box] | None = None
) -> list[PointTrack]:
    """Track points, and the centres of boxes, through a clip; one track for each point, then for each box.

    frames: uint8 RGB (H, W, 3), all of one size. points: (x, y), boxes: (left, top, right, bottom), in fractions of the
    first frame. Results are deterministic. Raises RequestError without a point, or if there is nothing to follow near
    one (a flat area); MediaError for a clip without frames.
    """
    if not points and not boxes:
        raise RequestError("Tracking requires a point or a box.", field="point", legal="one or more")
    targets: list[_Target] = []
    before_HW = None
    scale, shape = 1.0, (0, 0)
    for frame_HWC in frames:
        if before_HW is None:
            shape = frame_HWC.shape[:2]
            scale = min(max(1.0, SHORT_PX / min(shape)), LONG_PX / max(shape))
        picture_HWC = _scaled(frame_HWC, scale)
        now_HW = cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2GRAY)
        if before_HW is None:
            across, down = now_HW.shape[1], now_HW.shape[0]
            targets += [_at_point(picture_HWC, now_HW, (x * across, y * down)) for x, y in points or []]
            targets += [_in_box(now_HW, [p * s for p, s in zip(box, (across, down) * 2)]) for box in boxes or []]
        else:
            for target in targets:
                target.step(before_HW, now_HW)
        before_HW = now_HW
    if before_HW is None:
        raise MediaError("The clip contains no frames.")
    return [target.track((shape[1] / across, shape[0] / down)) for target in targets]


class _Target:
    """One point during tracking, in pixels of the scaled frames (edge convention: the centre of a pixel is + 0.5)."""

    def __init__(self, gray_HW: np.ndarray, start: np.ndarray, corners_K2: np.ndarray, reach: float) -> None:
        self.reference_HW, self.corners_K2, self.start, self.reach = gray_HW, corners_K2, start, reach
        self.move_23 = _STILL
        self.now_K2 = corners_K2
        self.alive_K = np.ones(len(corners_K2), bool)
        self.hidden = 0
        self.positions, self.seen = [start], [True]
        self.hull_SS = self._hull()

    def step(self, before_HW: np.ndarray, now_HW: np.ndarray) -> None:
        """Advance to the next frame."""
        move_23 = self._searched(now_HW) if self.hidden else self._followed(before_HW, now_HW)
        at = None if move_23 is None else _applied(move_23, self.start[None])[0]
        inside = at is not None and bool((at > 0).all() and (at < now_HW.shape[::-1]).all())
        if move_23 is None or not inside or self._likeness(now_HW, move_23) < ALIKE:
            self.hidden += 1
            self.positions.append(self.positions[-1])
            self.seen.append(False)
            return
        self.hidden, self.move_23 = 0, move_23
        self.now_K2 = _applied(move_23, self.corners_K2)
        assert at is not None
        self.positions.append(at)
        self.seen.append(True)

    def _followed(self, before_HW: np.ndarray, now_HW: np.ndarray) -> np.ndarray | None:
        """The motion from the reference to this frame, by the flow from the frame before, then by the reference itself;
        None if too few corners are left."""
        to_K2, good_K = _flow(before_HW, now_HW, self.now_K2)
        if good_K.mean() < LEAST_SHARE:
            return None
        step_23 = _similarity(self.now_K2[good_K], to_K2[good_K])
        if step_23 is None:
            return None
        return self._settled(now_HW, _chained(step_23, self.move_23))

    def _settled(self, now_HW: np.ndarray, move_23: np.ndarray) -> np.ndarray:
        """The motion, corrected by matching the corners of the reference with this frame if half of them are found."""
        guess_K2 = _applied(move_23, self.corners_K2)
        to_K2, good_K = _flow(self.reference_HW, now_HW, self.corners_K2, guess_K2)
        near_K = np.hypot(*(to_K2 - guess_K2).T) < 0.25 * self.reach + 2
        good_K &= near_K
        if good_K.sum() >= max(4, len(good_K) / 2):
            better_23 = _similarity(self.corners_K2[good_K], to_K2[good_K])
            if better_23 is not None:
                return better_23
        return move_23

    def _searched(self, now_HW: np.ndarray) -> np.ndarray | None:
        """Where a hidden object is: the best match of its appearance around its last position."""
        patch_HW = self._patch(self.reference_HW, _STILL)
        scale = float(np.hypot(*self.move_23[:, 0]))
        patch_HW = cv2.resize(patch_HW, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        tall, wide = patch_HW.shape
        x, y = self.positions[-1]
        far = self.reach * (2 + self.hidden)
        left, top = max(0, int(x - far)), max(0, int(y - far))
        area_HW = now_HW[top : int(y + far) + 1, left : int(x + far) + 1]
        if area_HW.shape[0] < tall or area_HW.shape[1] < wide or min(tall, wide) < 4:
            return None
        score_HW = cv2.matchTemplate(area_HW, patch_HW, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(score_HW)
        if not best > FOUND:
            return None
        turn_22 = np.eye(2) * scale
        to = np.array([left + column + wide / 2, top + row + tall / 2])
        return self._settled(now_HW, np.concatenate([turn_22, (to - turn_22 @ self.start)[:, None]], 1))

    def _patch(self, gray_HW: np.ndarray, move_23: np.ndarray) -> np.ndarray:
        """The object's neighbourhood in a frame, moved back to where it was in the reference."""
        side = max(8, round(2 * self.reach))
        to_patch_23 = np.array([[1, 0, side / 2 - self.start[0]], [0, 1, side / 2 - self.start[1]]], np.float64)
        back_23 = cv2.invertAffineTransform(move_23)
        whole_23 = _chained(to_patch_23, back_23)
        whole_23[:, 2] += whole_23[:, :2] @ (0.5, 0.5) - 0.5  # warpAffine counts from the centres of pixels
        return cv2.warpAffine(gray_HW, whole_23, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _hull(self) -> np.ndarray:
        """The convex hull of the corners in the patch, bool; the rest of the patch is background, which changes."""
        side = max(8, round(2 * self.reach))
        hull_SS = np.zeros((side, side), np.uint8)
        corners_K2 = np.rint(self.corners_K2 - self.start + side / 2 - 0.5).astype(np.int32)
        cv2.fillConvexPoly(hull_SS, cv2.convexHull(corners_K2), 1)
        found_SS = grown(hull_SS > 0, 1)
        return found_SS if found_SS.sum() >= 16 else np.ones_like(found_SS)

    def _likeness(self, now_HW: np.ndarray, move_23: np.ndarray) -> float:
        """The correlation of the object, within its corners, with that in the reference, -1 to 1."""
        a, b = (
            self._patch(gray_HW, m).astype(np.float32)[self.hull_SS]
            for gray_HW, m in ((self.reference_HW, _STILL), (now_HW, move_23))
        )
        a, b = a - a.mean(), b - b.mean()
        return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6))

    def track(self, pixel: tuple[float, float]) -> PointTrack:
        """The track in pixels of the clip. pixel: its size in pixels of the scaled frames, x and y."""
        return PointTrack(np.array(self.positions) * pixel - 0.5, np.array(self.seen))


def _at_point(picture_HWC: np.ndarray, gray_HW: np.ndarray, at: tuple[float, float]) -> _Target:
    """Corners of the object around a point, in a neighbourhood that grows until it has enough of them."""
    height, width = gray_HW.shape
    x, y = min(at[0], width - 1e-3), min(at[1], height - 1e-3)
    object_HW = grown(_object_at(picture_HWC, x, y), 2)
    if not 0 < object_HW.mean() < 0.4:  # the background, or nothing that stands out
        object_HW = np.ones_like(object_HW)
    rows, columns = np.mgrid[:height, :width] + 0.5
    distance_HW = np.hypot(columns - x, rows - y)
    radius = RADIUS * min(height, width)
    while True:
        corners_K2 = _corners(gray_HW, object_HW & (distance_HW <= radius))
        if len(corners_K2) >= ENOUGH or radius >= WIDEST * min(height, width):
            break
        radius *= 1.4
    if len(corners_K2) < 3:
        raise RequestError(
            f"The point {x / width:.3f},{y / height:.3f} lies in an area without details, which cannot be followed.",
            field="point", value=f"{x / width:.3f},{y / height:.3f}",
            legal="a point on an object with details, or --box around it",
        )  # fmt: skip
    return _Target(gray_HW, np.array([x, y]), corners_K2, radius)


def _object_at(picture_HWC: np.ndarray, x: float, y: float) -> np.ndarray:
    """The object at a point by GrabCut, bool (H, W); segmented at a reduced size, which is as good here and faster."""
    height, width = picture_HWC.shape[:2]
    scale = min(1.0, CUT_PX / max(height, width))
    small_HWC = _scaled(picture_HWC, scale)
    tall, wide = small_HWC.shape[:2]
    mask_HW = cut_out.from_click(small_HWC, min(x * wide / width, wide - 1), min(y * tall / height, tall - 1)).mask_HW
    return cv2.resize(mask_HW.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0


def _in_box(gray_HW: np.ndarray, box: list[float]) -> _Target:
    """Corners within a box; the centre of the box is followed."""
    height, width = gray_HW.shape
    left, top, right, bottom = box
    inside_HW = np.zeros(gray_HW.shape, bool)
    inside_HW[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = True
    corners_K2 = _corners(gray_HW, inside_HW)
    if len(corners_K2) < 3:
        shown = ",".join(f"{part / side:.3f}" for part, side in zip(box, (width, height) * 2))
        raise RequestError(
            f"The box {shown} has no details, so it cannot be followed.", field="box", value=shown,
            legal="a box around an object with details",
        )  # fmt: skip
    reach = max(8.0, (right - left + bottom - top) / 4)
    return _Target(gray_HW, np.array([(left + right) / 2, (top + bottom) / 2]), corners_K2, reach)


def _corners(gray_HW: np.ndarray, where_HW: np.ndarray) -> np.ndarray:
    """Corners of a picture within a mask, (K, 2)."""
    found = cv2.goodFeaturesToTrack(
        gray_HW, MOST, 0.01, max(2.0, min(gray_HW.shape) / 100), mask=where_HW.astype(np.uint8), blockSize=5
    )
    return np.zeros((0, 2)) if found is None else found.reshape(-1, 2).astype(np.float64) + 0.5


def _flow(
    from_HW: np.ndarray, to_HW: np.ndarray, points_K2: np.ndarray, guess_K2: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Follow points from one picture to another: (positions (K, 2), whether each passes the check (K,))."""
    start = (points_K2 - 0.5).astype(np.float32)[:, None]
    guess = start if guess_K2 is None else (guess_K2 - 0.5).astype(np.float32)[:, None]
    flags = 0 if guess_K2 is None else cv2.OPTFLOW_USE_INITIAL_FLOW
    ahead, found, _ = cv2.calcOpticalFlowPyrLK(from_HW, to_HW, start, guess.copy(), flags=flags, **_LK)
    back, again, _ = cv2.calcOpticalFlowPyrLK(to_HW, from_HW, ahead, start.copy(), flags=flags, **_LK)
    error_K = np.hypot(*(back - start)[:, 0].T)
    good_K = (found.ravel() == 1) & (again.ravel() == 1) & (error_K < BACK_PX)
    to_K2 = ahead[:, 0].astype(np.float64) + 0.5
    good_K &= np.isfinite(to_K2).all(1) & (to_K2 > 0).all(1) & (to_K2 < to_HW.shape[::-1]).all(1)
    return to_K2, good_K


def _similarity(from_K2: np.ndarray, to_K2: np.ndarray) -> np.ndarray | None:
    """The similarity transform (2 x 3) that most points agree on; with few points, their median shift; None if they do
    not agree."""
    if len(from_K2) < 6:
        if len(from_K2) < 2:
            return None
        shift = np.median(to_K2 - from_K2, axis=0)
        return np.concatenate([np.eye(2), shift[:, None]], 1)
    cv2.setRNGSeed(SEED)
    found_23, inliers = cv2.estimateAffinePartial2D(from_K2, to_K2, method=cv2.RANSAC, ransacReprojThreshold=1.5)
    if found_23 is None or inliers.mean() < LEAST_SHARE or not 0.2 < np.hypot(*found_23[:, 0]) < 5:
        return None
    return np.asarray(found_23, np.float64)


def _applied(move_23: np.ndarray, points_K2: np.ndarray) -> np.ndarray:
    return points_K2 @ move_23[:, :2].T + move_23[:, 2]


def _chained(after_23: np.ndarray, first_23: np.ndarray) -> np.ndarray:
    """The transform that applies `first_23`, then `after_23`."""
    turn_22 = after_23[:, :2] @ first_23[:, :2]
    return np.concatenate([turn_22, _applied(after_23, first_23[None, :, 2]).T], 1)


def _scaled(frame_HWC: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return np.ascontiguousarray(frame_HWC)
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    height, width = frame_HWC.shape[:2]
    return cv2.resize(frame_HWC, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=how)
