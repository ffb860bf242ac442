"""Camera motion between two frames: a homography estimated outside the masks.

Legend: H W pixels, C channels, N points. A homography (3, 3) maps pixels of one frame, (x, y, 1) with (0, 0) the centre
of the top left one, to those of another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ..media.masks import grown

MOST_POINTS, FEWEST_POINTS = 400, 12
LONGEST_PX = 960
"""Points are tracked on frames reduced to this longer side."""
BACK_PX = 0.7
"""Tolerance of the forward-backward check of a tracked point."""
THRESHOLD_PX = 1.0
SAME = 4.0
"""Of 255: frames without points to track that differ by less are taken as equal."""
WINDOW_PX, LEVELS, GUESSED_LEVELS = 17, 4, 2
"""Lucas-Kanade's window, and its pyramid levels without and with a guess."""


@dataclass
class View:
    """A frame prepared for estimating motion."""

    index: int
    frame_HWC: np.ndarray
    mask_HW: np.ndarray
    gray_HW: np.ndarray = field(repr=False)
    points_N2: np.ndarray = field(repr=False)
    scale: float = 1.0  # of gray_HW and points_N2
    step_33: np.ndarray | None = None  # from the previous view to this one; None if it cannot be estimated
    free_HW: np.ndarray | None = None  # uint8, 255 outside the mask and its edge; made at first use


def view(index: int, frame_HWC: np.ndarray, mask_HW: np.ndarray) -> View:
    height, width = mask_HW.shape
    scale = min(1.0, LONGEST_PX / max(height, width))
    gray_HW = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        gray_HW = cv2.resize(gray_HW, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small_HW = cv2.resize(mask_HW.astype(np.uint8), gray_HW.shape[::-1], interpolation=cv2.INTER_NEAREST)
    free_HW = (~grown(small_HW > 0, 5)).astype(np.uint8)
    found = cv2.goodFeaturesToTrack(gray_HW, MOST_POINTS, 0.003, 7, mask=free_HW, blockSize=5)
    points_N2 = np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2)
    return View(index, frame_HWC, mask_HW, gray_HW, points_N2, scale)


def scaled(homography_33: np.ndarray, scale: float) -> np.ndarray:
    """The same homography for frames of another size; pixel centres are mapped to pixel centres."""
    shift = 0.5 * scale - 0.5
    to = np.array([[scale, 0, shift], [0, scale, shift], [0, 0, 1.0]])
    return to @ homography_33 @ np.linalg.inv(to)


def moved(points_N2: np.ndarray, homography_33: np.ndarray) -> np.ndarray:
    return cv2.perspectiveTransform(points_N2.reshape(-1, 1, 2).astype(np.float64), homography_33).reshape(-1, 2)


def homography(start: View, end: View, guess_33: np.ndarray | None = None) -> np.ndarray | None:
    """From start's pixels to end's, near a guess if any; None if too few points agree. Points are tracked by
    Lucas-Kanade with a forward-backward check; RANSAC discards those on moving objects."""
    if len(start.points_N2) < FEWEST_POINTS:
        return None
    levels = LEVELS if guess_33 is None else GUESSED_LEVELS
    guess_33 = np.eye(3) if guess_33 is None else scaled(guess_33, start.scale)
    at_N2 = start.points_N2
    guess_N2 = moved(at_N2, guess_33).astype(np.float32)
    to_N2, found_N = _followed(start.gray_HW, end.gray_HW, at_N2, guess_N2, levels)
    back_N2, again_N = _followed(end.gray_HW, start.gray_HW, to_N2, at_N2, levels)
    good_N = found_N & again_N & (np.abs(back_N2 - at_N2).max(-1) < BACK_PX)
    height, width = end.gray_HW.shape
    good_N &= (to_N2 >= 0).all(-1) & (to_N2 <= (width - 1, height - 1)).all(-1)
    good_N[good_N] = ~_hidden(end, to_N2[good_N])
    if good_N.sum() < FEWEST_POINTS:
        return None
    at_N2, to_N2 = at_N2[good_N], to_N2[good_N]
    fit_33, inside_N = cv2.findHomography(at_N2, to_N2, cv2.RANSAC, THRESHOLD_PX, maxIters=500, confidence=0.999)
    if fit_33 is None or inside_N.sum() < FEWEST_POINTS or not _plausible(fit_33, width, height):
        return None
    return scaled(fit_33, 1 / start.scale)


def _followed(
    one_HW: np.ndarray, other_HW: np.ndarray, at_N2: np.ndarray, guess_N2: np.ndarray, levels: int
) -> tuple[np.ndarray, np.ndarray]:
    """(positions of the points in the other picture, whether they were found)."""
    to_N2, found_N, _ = cv2.calcOpticalFlowPyrLK(
        one_HW, other_HW, at_N2, guess_N2.copy(), winSize=(WINDOW_PX, WINDOW_PX), maxLevel=levels,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    return to_N2, found_N.ravel() > 0


def _hidden(end: View, points_N2: np.ndarray) -> np.ndarray:
    """Which points of the reduced frame are in the mask."""
    height, width = end.mask_HW.shape
    full_N2 = np.rint((points_N2 + 0.5) / end.scale - 0.5).astype(int)
    return end.mask_HW[full_N2[:, 1].clip(0, height - 1), full_N2[:, 0].clip(0, width - 1)]


def _plausible(fit_33: np.ndarray, width: int, height: int) -> bool:
    """Whether no corner is behind the camera, and the frame is not mirrored nor changed in area more than fivefold."""
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1.0]]).T
    depth = (fit_33 @ corners)[2]
    if depth.min() <= 0.2 * depth.max():
        return False
    to = ((fit_33 @ corners)[:2] / depth).T
    area = cv2.contourArea(to.astype(np.float32), oriented=True) / (width * height)
    return 0.2 < area < 5


def step(start: View, end: View) -> np.ndarray | None:
    """The motion from one frame to the next: a homography, or the identity if nothing has changed (a wall without
    points to track). None if neither can be established."""
    found_33 = homography(start, end)
    if found_33 is not None:
        return found_33
    known_HW = ~(start.mask_HW | end.mask_HW)
    if not known_HW.any():
        return None
    off_HWC = np.abs(start.frame_HWC.astype(np.int16) - end.frame_HWC)
    return np.eye(3) if off_HWC[known_HW].mean() < SAME else None
