"""The motion map of a plan's paths as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ....conditions import camera, trajectory
from ....core.plan import Plan
from ..options import CogVideoXOptions
from . import motion_map


def pictures(plan: Plan) -> torch.Tensor | None:
    """The motion map of all paths of a plan, float32 in [-1, 1], (1, 3, F, H, W); None without a path. A camera move is
    a grid of paths, drawn before those of objects."""
    conditions: list[Any] = [each for each in plan.conditions if each.kind in ("trajectory", "camera")]
    if not conditions:
        return None
    size = (plan.width, plan.height)
    paths: list[np.ndarray] = []
    for each in sorted(conditions, key=lambda each: each.kind):  # the camera first: where both move, an object counts
        if each.kind == "camera":
            paths.extend(camera.dense_paths(each, plan.frames, size))
        else:
            paths.append(trajectory.positions(each, plan.frames, size))
    sigma_px = CogVideoXOptions.of(plan).trajectory_sigma
    frames_FHWC = motion_map.draw(paths, plan.height, plan.width, sigma_px)
    return torch.from_numpy(frames_FHWC).float().div_(127.5).sub_(1.0).movedim(-1, 0)[None]
