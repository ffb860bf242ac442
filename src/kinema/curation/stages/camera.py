"""Who moves, the camera or what it shows: Tora's filter (features/motion_filter.py), on four seconds of a clip.

Legend: F frames, H W height and width, 2 (x, y) in px.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...features import flow
from ...features.motion_filter import measure
from ..reading import FrameRequest
from ..stage import Column, CurationSettings, CutClip
from .flow_motion import PER_S, middle

REQUEST = FrameRequest(most=33, side_px=192, fps=8.0)
"""Four seconds at 8 fps from the middle of a clip: the filter compares consecutive frames, so they are not spread."""


class CameraMotion:
    """`camera_moves`: 1 where an affine map moves the margin of the frame, else 0. `flow_score`: mean length of the
    flow in px per frame on a canvas of 480 px. `draw_weight`: Tora's relative frequency in training. `shake`: half of
    the mean change from frame to frame of what most of the frame does: 0 for a steady move."""

    name, version = "camera", 1
    columns: tuple[Column, ...] = (
        Column("camera_moves", "int", "camera moves"),
        Column("camera_margin", "float", "margin that follows the camera"),
        Column("camera_speed", "float", "speed of the camera", PER_S),
        Column("motion_explained", "float", "motion that one map explains"),
        Column("flow_score", "float", "flow score", "px at 480 px"),
        Column("draw_weight", "float", "weight in training"),
        Column("shake", "float", "shake", PER_S),
    )

    def __init__(self, settings: CurationSettings) -> None:
        self.device = settings.device
        self.method, self.weights = settings.option(self.name, "flow", "dis"), settings.option(self.name, "weights")
        self.estimate: flow.Estimate = flow.dis

    def open(self) -> None:
        """Raises RequestError where the method cannot be used."""
        self.estimate = flow.estimator(self.method, self.weights, self.device)

    def measure(self, clip: CutClip) -> dict[str, Any]:
        fps = min(REQUEST.fps or clip.fps, clip.fps)
        part = middle(clip, REQUEST.most / fps)
        frames_FHWC = part.frames(most=REQUEST.most, side_px=REQUEST.side_px, fps=REQUEST.fps)
        if len(frames_FHWC) < 2:
            return {column.name: None for column in self.columns}
        flow_FHW2 = self.estimate(frames_FHWC)
        found = measure(flow_FHW2, fps)
        return {
            "camera_moves": int(found.camera_moves), "camera_margin": found.camera_margin,
            "camera_speed": found.camera_speed, "motion_explained": found.explained, "flow_score": found.score,
            "draw_weight": found.weight, "shake": shake(flow_FHW2) * fps,
        }  # fmt: skip


def shake(flow_FHW2: np.ndarray) -> float:
    """Half of the mean length of the change of the median motion, in shorter sides per frame; 0 for fewer than two
    flows."""
    if len(flow_FHW2) < 2:
        return 0.0
    steps_F2 = np.median(flow_FHW2.reshape(len(flow_FHW2), -1, 2), 1)
    return float(np.hypot(*np.diff(steps_F2, axis=0).T).mean()) / 2 / min(flow_FHW2.shape[1:3])
