"""VBench-I2V's camera motion: the share of clips whose camera moves as it was asked to.

A grid of 10 x 10 points is followed from the first frame. The points at the four edges of the grid vote: if the mean
motion of an edge, first to last frame, is less than 0.005 min(H, W) px, that edge is still. All still: a static camera.
All edges along one axis to one side: a pan or tilt to the other. Opposite edges apart or together: a zoom. Source:
arXiv 2311.17982, whose tracker is CoTracker; here it is the pyramidal method of Lucas and Kanade with a
forward-backward check, and edges with no followed point do not vote.

Legend: F frames, H W pixels, N points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError, RequestError
from .clip_means import mean_score
from .contract import MOST_FRAMES, ClipFile, Row, Score, SetClip, YardstickSettings

GRID, STILL = 10, 0.005
CLASSES = ("static", "pan-left", "pan-right", "tilt-up", "tilt-down", "zoom-in", "zoom-out", "other")
"""Of the camera, not of the picture, which moves the other way. other: none of the seven."""
BACK_PX, WINDOW_PX, LEAST_SIDE_PX = 1.0, 21, 256
Follow = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(frames (F, H, W, 3), points (N, 2) on the first) to (points on the last (N, 2), whether each was followed (N,))."""


def camera_class(frames_FHWC: np.ndarray, follow: Follow) -> str:
    """The class of a clip's camera motion; F >= 2."""
    height, width = frames_FHWC.shape[1:3]
    at_x, at_y = ((np.arange(GRID) + 0.5) / GRID * side - 0.5 for side in (width, height))
    points_N2 = np.stack(np.meshgrid(at_x, at_y), -1).reshape(-1, 2)
    to_N2, seen_N = follow(frames_FHWC, points_N2)
    return of_edges((to_N2 - points_N2).reshape(GRID, GRID, 2), seen_N.reshape(GRID, GRID), min(height, width))


def of_edges(motion_RS2: np.ndarray, seen_RS: np.ndarray, side_px: int) -> str:
    """The class of a grid of motions, px. seen: which points count."""
    edges = {
        "top": (slice(0, 1), slice(None)), "bottom": (slice(-1, None), slice(None)),
        "left": (slice(None), slice(0, 1)), "right": (slice(None), slice(-1, None)),
    }  # fmt: skip
    found: dict[str, np.ndarray] = {}
    for name, where in edges.items():
        if seen_RS[where].any():
            motion_2 = motion_RS2[where][seen_RS[where]].mean(0)
            found[name] = np.where(np.abs(motion_2) >= STILL * side_px, motion_2, 0.0)
    if len(found) < 3:
        return "other"
    if not any(motion_2.any() for motion_2 in found.values()):
        return "static"
    # Away from the centre is positive. A camera that zooms in pushes all edges outwards.
    outwards = [
        float(motion_2 @ way)
        for name, way in (("top", (0, -1)), ("bottom", (0, 1)), ("left", (-1, 0)), ("right", (1, 0)))
        if (motion_2 := found.get(name)) is not None
    ]
    if all(value > 0 for value in outwards):
        return "zoom-in"
    if all(value < 0 for value in outwards):
        return "zoom-out"
    x, y = (np.array([motion_2[axis] for motion_2 in found.values()]) for axis in (0, 1))
    if (np.sign(x) == np.sign(x[0])).all() and abs(x.mean()) > abs(y.mean()):
        return "pan-left" if x[0] > 0 else "pan-right"
    if (np.sign(y) == np.sign(y[0])).all() and abs(y.mean()) > abs(x.mean()):
        return "tilt-up" if y[0] > 0 else "tilt-down"
    return "other"


def lucas_kanade(frames_FHWC: np.ndarray, points_N2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow points from frame to frame; one that does not return to its place is lost from then on."""
    import cv2

    height, width = frames_FHWC.shape[1:3]
    scale = max(1.0, LEAST_SIDE_PX / min(height, width))
    size = (round(width * scale), round(height * scale))
    now_N2 = ((points_N2 + 0.5) * scale - 0.5).astype(np.float32)
    seen_N = np.ones(len(points_N2), bool)
    before = None
    for frame_HWC in frames_FHWC:
        gray = cv2.cvtColor(np.ascontiguousarray(frame_HWC), cv2.COLOR_RGB2GRAY)
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC) if scale > 1 else gray
        if before is not None:
            options: dict[str, Any] = {"winSize": (WINDOW_PX, WINDOW_PX), "maxLevel": 4}
            to_N2, ok_N, _ = cv2.calcOpticalFlowPyrLK(before, gray, now_N2[:, None], None, **options)
            back_N2, back_ok_N, _ = cv2.calcOpticalFlowPyrLK(gray, before, to_N2, None, **options)
            off_N = np.hypot(*(back_N2[:, 0] - now_N2).T)
            seen_N &= (ok_N[:, 0] > 0) & (back_ok_N[:, 0] > 0) & (off_N < BACK_PX)
            now_N2 = np.where(seen_N[:, None], to_N2[:, 0], now_N2)
        before = gray
    return (now_N2 + 0.5) / scale - 0.5, seen_N


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


class CameraMotion:
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
