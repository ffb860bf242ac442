"""Camera moves as dense paths: where the points of the picture go while the camera moves.

Legend: N points, F frames. The moves are those of Toyland (toyland/pose.py), applied to a flat picture: the first frame
is the picture itself, so that a move can be combined with a first image.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.conditions import Camera
from ..core.errors import RequestError
from ..core.plan import Plan

PAN, TILT, ZOOM, ROLL = 0.27, 0.25, 0.45, 0.08
"""The moves of amount 1.0 over a whole clip, the middle of Toyland's: fraction of the frame's width or height, factor -
1, turns."""
CELLS = 16
"""Points along the shorter side of the frame."""


def check(plan: Plan, lens: tuple[float, ...]) -> None:
    """RequestError for a camera with fewer poses than the plan has frames, or a lens (fx, fy, cx, cy) that sees
    nothing."""
    for camera in (each for each in plan.conditions if each.kind == "camera"):
        if camera.poses and len(camera.poses) < plan.frames:
            raise RequestError(
                f"The camera has {len(camera.poses)} poses, the clip {plan.frames} frames.",
                field="conditions.camera.poses", value=len(camera.poses),
                legal=f"{plan.frames} or more, one for each frame; or frames up to {len(camera.poses)}",
                nearest=plan.frames,
            )  # fmt: skip
    if not all(lens[:2]):
        raise RequestError(
            "A lens of focal length 0 sees nothing.", field="options.camera_lens", value=list(lens),
            legal="focal lengths x and y above 0, then the centre",
        )  # fmt: skip


def dense_paths(camera: Camera, frames: int, size: tuple[int, int], cells: int = CELLS) -> np.ndarray:
    """Return the paths of a grid of points under a camera move, float64 (N, F, 2), x and y in pixels of a frame of
    `size` (width, height), as `trajectory.positions` gives them.

    The grid has `cells` points along the shorter side of the first frame and covers everything that any frame shows, so
    points may lie outside the frame, and enter or leave it. The speed is constant (for a zoom, its logarithm). Moves
    that name a direction move the camera: with `pan_right`, the picture moves to the left.
    """
    if frames < 1 or min(size) < 1 or cells < 1:
        raise RequestError(
            f"dense_paths of {frames} frames, {size[0]}x{size[1]} and {cells} cells.",
            field="camera", value=(frames, *size, cells), legal="1 or more each",
        )  # fmt: skip
    width, height = size
    middle = np.array([width, height]) / 2
    part_F = np.linspace(0.0, 1.0, frames)
    turn_F, scale_F, shift_F2 = _moves(camera, part_F, size)
    cos_F, sin_F = np.cos(turn_F) * scale_F, np.sin(turn_F) * scale_F
    # x' = middle + matrix (x - middle) + shift, for each frame
    matrix_F22 = np.stack([np.stack([cos_F, -sin_F], -1), np.stack([sin_F, cos_F], -1)], -2)
    corners_42 = np.array([(x, y) for x in (0, width) for y in (0, height)]) - middle
    shown = np.einsum("fij,fkj->fki", np.linalg.inv(matrix_F22), corners_42[None] - shift_F2[:, None])
    step = min(size) / cells
    low, high = shown.min((0, 1)) + middle, shown.max((0, 1)) + middle
    x, y = (np.arange(math.floor(a / step), math.ceil(b / step)) * step + step / 2 for a, b in zip(low, high))
    grid_N2 = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2) - middle
    return np.einsum("fij,nj->nfi", matrix_F22, grid_N2) + shift_F2[None] + middle


def _moves(camera: Camera, part_F: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rotation (radians, clockwise), scale and shift (px) of the picture in each frame."""
    turn_F, scale_F, shift_F2 = np.zeros_like(part_F), np.ones_like(part_F), np.zeros((len(part_F), 2))
    kind, _, way = camera.move.partition("_")
    if kind in ("pan", "tilt"):
        axis, full = (0, PAN) if kind == "pan" else (1, TILT)
        shift_F2[:, axis] = (-1 if way in ("right", "down") else 1) * full * camera.amount * size[axis] * part_F
    elif kind == "zoom":
        scale_F = (1 + ZOOM * camera.amount) ** (part_F if way == "in" else -part_F)
    elif kind == "roll":  # a camera that rolls left turns the picture clockwise
        turn_F = (1 if way == "left" else -1) * 2 * np.pi * ROLL * camera.amount * part_F
    return turn_F, scale_F, shift_F2
