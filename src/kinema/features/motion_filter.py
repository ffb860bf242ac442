"""Curation of clips by their motion, as Tora does (arXiv 2407.21705, section 4.1 and appendix): clips in which the
camera makes the motion are dropped, still clips too, and fast clips are drawn less often.

Legend: F frames, H W pixels, M sampled pixels. flow as in features/flow.py.

An affine map (pan, tilt, zoom, roll, shear) is fitted robustly to the moving pixels of each frame. One object that
moves fits such a map as well as a camera does, so what counts is where the map holds: a camera moves the margin of the
frame, an object rarely does. The paper judges the camera by the angles and zoom of the flow without a formula, and its
flow score (keep above 3, keep with probability 1 - score / 100) is of another estimator and frame distance, so the
thresholds here are Kinema's own, and measured (docs/train_tora.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAMPLES = 48
"""The flow is sampled at so many places along each side."""
ROUNDS = 10
LOOSE, LOOSE_SHARE = 0.002, 0.35
"""A pixel follows the map if it deviates by less than LOOSE (of the shorter side, per frame) or this share of its
motion."""
MOVES = 0.01
"""Pixels that move less than this share of the shorter side a second are still."""
MARGIN = 0.12
"""Width of the frame's margin, as a share of each side."""
FEWEST = 20
"""Frames with fewer moving samples have no camera motion."""
CAMERA_MARGIN, CAMERA_SPEED = 0.2, 0.03
"""The camera moves if this share of the margin follows its map, at this speed (shorter sides a second). Measured on 96
Toyland clips with a still camera and 96 with a moving one: with exact flow 0 and 93 % are dropped, with DIS 8 and 85 %
(Toyland's skies do not move with the camera)."""
LEAST_SCORE, MOST_SCORE = 0.1, 100.0
CANVAS_PX = 480
"""Flow scores are px per frame on a canvas with this shorter side."""


@dataclass(frozen=True)
class ClipMotion:
    """score: mean length of the flow between consecutive frames, in px at a shorter side of CANVAS_PX. explained: share
    of the motion that one affine map per frame explains, 0 to 1. camera_margin: share of the frame's margin that moves
    by the map. camera_speed: mean speed of the pixels that follow it, in shorter sides a second."""

    score: float
    explained: float
    camera_margin: float
    camera_speed: float

    @property
    def weight(self) -> float:
        """Relative frequency in training: 1 - score / 100, as in the paper's appendix, and at least 0."""
        return max(0.0, 1.0 - self.score / MOST_SCORE)

    @property
    def camera_moves(self) -> bool:
        return self.camera_margin >= CAMERA_MARGIN and self.camera_speed >= CAMERA_SPEED

    def why_dropped(self, *, camera: bool = True, least: float = LEAST_SCORE) -> str:
        """Why a clip is not trained on; "" if it is. camera: drop clips with a moving camera? least: smallest score."""
        if self.score < least:
            return f"hardly moves: flow score {self.score:.2f}, at least {least:g} is needed"
        if self.weight <= 0:
            return f"moves too fast: flow score {self.score:.1f}, below {MOST_SCORE:g} is needed"
        if camera and self.camera_moves:
            return (
                f"the camera moves, by {100 * self.camera_speed:.0f} % of the frame a second: one map moves "
                f"{100 * self.camera_margin:.0f} % of its margin, {100 * self.explained:.0f} % of all motion"
            )
        return ""


def measure(flow_FHW2: np.ndarray, fps: float) -> ClipMotion:
    """Measure the motion of a clip. Raises ValueError for a flow without frames."""
    if flow_FHW2.ndim != 4 or not len(flow_FHW2) or flow_FHW2.shape[-1] != 2:
        raise ValueError(f"expected a flow (F, H, W, 2), got {flow_FHW2.shape}")
    height, width = flow_FHW2.shape[1:3]
    side = min(height, width)
    rows = np.unique(np.linspace(0, height - 1, min(SAMPLES, height)).round().astype(int))
    columns = np.unique(np.linspace(0, width - 1, min(SAMPLES, width)).round().astype(int))
    places_M2 = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2) / side
    x_M, y_M = (places_M2 * side / ((width - 1) or 1, (height - 1) or 1)).T
    margin_M = np.minimum(np.minimum(x_M, 1 - x_M), np.minimum(y_M, 1 - y_M)) < MARGIN
    whole = explained = in_margin = speed = 0.0
    for flow_HW2 in flow_FHW2:
        flow_M2 = flow_HW2[rows[:, None], columns].reshape(-1, 2).astype(np.float64) / side
        length_M = np.hypot(*flow_M2.T)
        whole += float(length_M.sum())
        moves_M = length_M * fps > MOVES
        if moves_M.sum() < FEWEST:
            continue
        error_M = np.hypot(*(flow_M2 - _fit(places_M2, flow_M2, moves_M)).T)
        explained += float(np.maximum(0.0, length_M - error_M)[moves_M].sum())
        follows_M = moves_M & (error_M < np.maximum(LOOSE, LOOSE_SHARE * length_M))
        in_margin += float(follows_M[margin_M].mean())
        speed += float(length_M[follows_M].mean()) * fps if follows_M.any() else 0.0
    score = float(np.hypot(*np.moveaxis(flow_FHW2.astype(np.float64), -1, 0)).mean()) / side * CANVAS_PX
    count = len(flow_FHW2)
    return ClipMotion(score, explained / whole if whole > 0 else 0.0, in_margin / count, speed / count)


def _fit(places_M2: np.ndarray, flow_M2: np.ndarray, moves_M: np.ndarray) -> np.ndarray:
    """The motion (M, 2) of the affine map that most moving pixels follow, by iteratively reweighted least squares."""
    middle_M2 = places_M2 - places_M2.mean(0)
    rows_M3 = np.concatenate([np.ones((len(middle_M2), 1)), middle_M2], 1)
    found_M2 = np.broadcast_to(np.median(flow_M2[moves_M], 0), flow_M2.shape)
    for _ in range(ROUNDS):
        weight_M1 = moves_M[:, None] / np.maximum(np.hypot(*(flow_M2 - found_M2).T), LOOSE)[:, None] ** 2
        weighted_M3 = rows_M3 * weight_M1
        normal = weighted_M3.T @ rows_M3
        found_M2 = rows_M3 @ np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(3), weighted_M3.T @ flow_M2)
    return found_M2
