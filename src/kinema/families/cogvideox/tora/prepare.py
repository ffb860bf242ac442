"""The motion map of a plan's paths as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ....conditions import trajectory
from ....core.plan import Plan
from ..options import CogVideoXOptions
from . import motion_map


def pictures(plan: Plan) -> torch.Tensor | None:
    """The motion map of all paths of a plan, float32 in [-1, 1], (1, 3, F, H, W); None without a path."""
    conditions: list[Any] = [each for each in plan.conditions if each.kind == "trajectory"]
    if not conditions:
        return None
    paths = [positions(each, plan) for each in conditions]
    sigma_px = CogVideoXOptions.of(plan).trajectory_sigma
    frames_FHWC = motion_map.draw(paths, plan.height, plan.width, sigma_px)
    return torch.from_numpy(frames_FHWC).float().div_(127.5).sub_(1.0).movedim(-1, 0)[None]


def positions(condition: Any, plan: Plan) -> np.ndarray:
    """The positions of a path on the plan's canvas, (F, 2) in pixels."""
    return trajectory.resample(condition.points, plan.frames) * np.array([plan.width, plan.height])
