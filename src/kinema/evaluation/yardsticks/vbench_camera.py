"""VBench-I2V's camera motion: the share of clips whose camera moves as it was asked to.

A grid of 10 x 10 points is followed from the first frame to the last. A shift and a growth about the centre are fitted
to the motion of the points away from the centre, where objects are (least absolute deviations). A camera that moves the
picture less than 0.005 min(H, W) px is static; else the largest of horizontal shift, vertical shift and growth at the
edge decides. Seven classes, grid and limit are VBench's (arXiv 2311.17982), which reads the grid's edges; the fit is
Kinema's. VBench's tracker is CoTracker; here, in each cell of the grid, the best corner is followed by the pyramidal
method of Lucas and Kanade with a forward-backward check. Over flat areas no camera can be told: the class is "other".

Legend: F frames, H W pixels, R S rows and columns of the grid, N points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError, RequestError
from .clip_means import mean_score
from .contract import MOST_FRAMES, ClipFile, Row, Score, SetClip, YardstickSettings

GRID, STILL = 10, 0.005
CLASSES = ("static", "pan-left", "pan-right", "tilt-up", "tilt-down", "zoom-in", "zoom-out", "other")
"""Of the camera, not of the picture, which moves the other way. other: none of the seven."""
BACK_PX, WINDOW_PX, LEAST_SIDE_PX = 1.0, 21, 256
LEAST_POINTS, ROUNDS = 8, 12
INNER = 0.35
"""Points nearer to the centre than this share of half a side, on both axes, do not count."""
LEAST_CORNER = 2e-5
"""Smaller eigenvalue of a corner's gradients, of pictures in [0, 1]: below it, a point lies in a flat area."""
Follow = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Frames (F, H, W, 3) to points on the first (R, S, 2), their motion until the last (R, S, 2), px, and whether each was
followed (R, S)."""


def camera_class(frames_FHWC: np.ndarray, follow: Follow) -> str:
    """The class of a clip's camera motion; F >= 2."""
    height, width = frames_FHWC.shape[1:3]
    points_RS2, motion_RS2, seen_RS = follow(frames_FHWC)
    half_2 = np.array([width, height]) / 2
    place_RS2 = points_RS2 + 0.5 - half_2
    used = seen_RS & (np.abs(place_RS2 / half_2).max(-1) > INNER)
    return of_motion(place_RS2[used], motion_RS2[used], min(height, width))


def of_motion(place_N2: np.ndarray, motion_N2: np.ndarray, side_px: int) -> str:
    """The class of the motion of points away from the centre. place: from the centre. All px."""
    if len(place_N2) < LEAST_POINTS:
        return "other"
    least, reach = STILL * side_px, side_px / 2
    shift_2, growth = _fit(place_N2 / reach, motion_N2, least)
    moved = float(np.median(np.hypot(*motion_N2.T)))
    parts = {"x": shift_2[0], "y": shift_2[1], "zoom": growth}
    name = max(parts, key=lambda part: abs(parts[part]))
    if abs(parts[name]) < least:
        return "static" if moved < least else "other"  # moved: a roll
    off_N2 = motion_N2 - shift_2 - growth * place_N2 / reach
    if float(np.median(np.hypot(*off_N2.T))) > abs(parts[name]):
        return "other"
    positive = parts[name] > 0
    if name == "zoom":
        return "zoom-in" if positive else "zoom-out"
    # The picture moves against the camera.
    return ("pan-left" if positive else "pan-right") if name == "x" else ("tilt-up" if positive else "tilt-down")


def _fit(place_N2: np.ndarray, motion_N2: np.ndarray, least: float) -> tuple[np.ndarray, float]:
    """(shift (2,), growth) with the least sum of distances from the motions, by reweighting."""
    count = len(place_N2)
    rows = np.zeros((count, 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1
    rows[:, :, 2] = place_N2
    weight_N, found = np.ones(count), np.zeros(3)
    for _ in range(ROUNDS):
        weighted = rows * weight_N[:, None, None]
        left, right = np.einsum("nij,nik->jk", weighted, rows), np.einsum("nij,ni->j", weighted, motion_N2)
        found = np.linalg.solve(left + 1e-9 * np.eye(3), right)
        weight_N = 1 / np.maximum(np.hypot(*(motion_N2 - rows @ found).T), 0.1 * least)
    return found[:2], float(found[2])


def lucas_kanade(frames_FHWC: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Follow the best corner of each cell; one that does not return to its place is lost from then on."""
    import cv2

    height, width = frames_FHWC.shape[1:3]
    scale = max(1.0, LEAST_SIDE_PX / min(height, width))
    size = (round(width * scale), round(height * scale))
    options: dict[str, Any] = {"winSize": (WINDOW_PX, WINDOW_PX), "maxLevel": 4}
    first_N2, seen_N = np.zeros((0, 2)), np.zeros(0, bool)
    now_N2 = first_N2
    before = None
    for frame_HWC in frames_FHWC:
        gray = cv2.cvtColor(np.ascontiguousarray(frame_HWC), cv2.COLOR_RGB2GRAY)
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC) if scale > 1 else gray
        if before is None:
            first_N2, seen_N = _corners(gray)
            now_N2 = first_N2.astype(np.float32)
        else:
            to_N12, ok_N1, _ = cv2.calcOpticalFlowPyrLK(before, gray, now_N2[:, None], None, **options)
            back_N12, back_ok_N1, _ = cv2.calcOpticalFlowPyrLK(gray, before, to_N12, None, **options)
            off_N = np.hypot(*(back_N12[:, 0] - now_N2).T)
            seen_N &= (ok_N1[:, 0] > 0) & (back_ok_N1[:, 0] > 0) & (off_N < BACK_PX)
            now_N2 = np.where(seen_N[:, None], to_N12[:, 0], now_N2)
        before = gray
    grid = (GRID, GRID)
    points = (first_N2 + 0.5) / scale - 0.5
    return points.reshape(*grid, 2), ((now_N2 - first_N2) / scale).reshape(*grid, 2), seen_N.reshape(grid)


def _corners(gray_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the best corner of each cell (N, 2), whether it is one (N,)), row by row."""
    import cv2

    strength_HW = cv2.cornerMinEigenVal(gray_HW.astype(np.float32) / 255, 5)
    height, width = gray_HW.shape
    rows, columns = (np.linspace(0, side, GRID + 1).astype(int) for side in (height, width))
    points, good = [], []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            cell = strength_HW[top:bottom, left:right]
            y, x = np.unravel_index(int(cell.argmax()), cell.shape)
            points.append((left + x, top + y))
            good.append(cell[y, x] > LEAST_CORNER)
    return np.array(points, np.float64), np.array(good)


def asked_of(clip: ClipFile) -> str | None:
    """The camera move that a clip was asked for, as one of CLASSES: by its manifest, else by the words of its caption
    as Toyland understands them; None if neither names one."""
    conditions = ((clip.manifest or {}).get("plan") or {}).get("conditions") or []
    for condition in conditions if isinstance(conditions, list) else []:
        if isinstance(condition, dict) and condition.get("kind") == "camera" and condition.get("move") in CLASSES:
            return str(condition["move"])
    if not clip.caption:
        return None
    from ...toyland.understand import understand

    said = understand(clip.caption).camera
    return "static" if said == "still" else said if said in CLASSES else None


class AskedCameraMotion:
    """The share of clips whose camera moves as asked. follow: the tracker of points; None: Lucas and Kanade."""

    name = "camera_motion"
    title = "share of camera moves as asked"
    unit = ""
    better: Literal["lower", "higher", "neither"] = "higher"
    against: Literal["no", "set", "pairs"] = "no"

    def __init__(self, settings: YardstickSettings, follow: Follow | None = None, follow_name: str = "") -> None:
        self.follow, self.follow_name = follow or lucas_kanade, follow_name or "Lucas-Kanade, forward-backward check"

    def protocol(self) -> dict[str, Any]:
        return {
            "tracker": self.follow_name, "published_tracker": "CoTracker", "grid": GRID, "still": STILL,
            "frames_read": MOST_FRAMES,
        }  # fmt: skip

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        """RequestError if no clip was asked for a camera move."""
        if not any(asked_of(clip) for clip in clips):
            raise RequestError(
                "No clip was asked for a camera move.", field="camera", value=None,
                legal=f"a manifest with a camera condition, or a caption that names one of {', '.join(CLASSES[:-1])}",
            )  # fmt: skip

    def measure(self, clip: SetClip) -> Row:
        """{"found", "asked"}: indices into CLASSES, asked -1 if nothing was. MediaError for a single frame."""
        if len(clip.frames_FHWC) < 2:
            raise MediaError(f"{clip.file.name}: a single frame shows no camera motion.")
        asked = asked_of(clip.file)
        found = CLASSES.index(camera_class(clip.frames_FHWC, self.follow))
        return {"found": np.array(found), "asked": np.array(-1 if asked is None else CLASSES.index(asked))}

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        right = [math.nan if int(row["asked"]) < 0 else float(row["found"] == row["asked"]) for row in rows]
        counts = np.bincount([int(row["found"]) for row in rows], minlength=len(CLASSES))
        facts = {
            "clips": sum(math.isfinite(value) for value in right),
            "found": {name: int(count) for name, count in zip(CLASSES, counts, strict=True) if count},
        }
        return mean_score(right, self.unit, facts, why="no clip was asked for a camera move")
