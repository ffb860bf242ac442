"""Camera moves as the rays that Fun-Camera reads: a pose for each frame, and for each pixel its ray in Plücker
coordinates (origin x direction, direction; Sitzmann et al. 2021, arXiv 2106.02634).

x points right, y down, z into the picture; the first frame's camera is at the origin. The numbers are those of
VideoX-Fun and of ComfyUI's WanCameraEmbedding: its speed is the condition's `amount` times the option camera_speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from ...core.conditions import CameraMove
from ...core.plan import Plan
from .options import WanOptions

Using = Callable[[Any], AbstractContextManager[Any]]
WAYS: dict[CameraMove, tuple[float, float, float, float]] = {
    "still": (0, 0, 0, 0), "tilt_up": (0, -1, 0, 0), "tilt_down": (0, 1, 0, 0), "pan_left": (-1, 0, 0, 0),
    "pan_right": (1, 0, 0, 0), "zoom_in": (0, 0, 2, 0), "zoom_out": (0, 0, -2, 0), "roll_left": (0, 0, 0, -1),
    "roll_right": (0, 0, 0, 1),
}  # fmt: skip
"""For each move the direction (x, y, z) of the camera, and the sense of its roll (1: clockwise). ComfyUI calls a tilt a
pan up or down, roll_left anticlockwise and roll_right clockwise."""
DISTANCE, ANGLE = 1.5, math.pi / 3
"""Way and turn of a whole clip at speed 1."""
ASPECT = 1280 / 720
"""Aspect of the camera whose focal lengths are given."""


def poses(move: CameraMove, speed: float, frames: int) -> torch.Tensor:
    """The poses of a camera, camera to world, float32 (F, 3, 4). Frame i has the share i / F of the move: the last
    frame does not reach its end."""
    x, y, z, sense = WAYS[move]
    share_F = torch.arange(frames, dtype=torch.float64) / frames * speed
    turn_F = share_F * ANGLE * sense
    cos_F, sin_F, zero_F = turn_F.cos(), turn_F.sin(), torch.zeros_like(turn_F)
    way_F3 = share_F[:, None] * DISTANCE * torch.tensor([x, y, z], dtype=torch.float64)
    rows = (
        torch.stack([cos_F, -sin_F, zero_F, way_F3[:, 0]], -1),
        torch.stack([sin_F, cos_F, zero_F, way_F3[:, 1]], -1),
        torch.stack([zero_F, zero_F, zero_F + 1, way_F3[:, 2]], -1),
    )
    return torch.stack(rows, 1).float()


def rays(poses_F34: torch.Tensor, width: int, height: int, lens: tuple[float, ...]) -> torch.Tensor:
    """The rays of all pixels, float32 (F, 6, H, W). lens: focal lengths and centre (fx, fy, cx, cy) in fractions of the
    frame, for a frame of 16:9; another aspect crops it."""
    fx, fy, cx, cy = lens
    if width / height < ASPECT:
        fx = fx * height * ASPECT / width
    else:
        fy = fy * width / ASPECT / height
    x_W = (torch.arange(width) + 0.5 - cx * width) / (fx * width)
    y_H = (torch.arange(height) + 0.5 - cy * height) / (fy * height)
    down, across = torch.meshgrid(y_H, x_W, indexing="ij")
    direction_HW3 = _normalised(torch.stack([across, down, torch.ones_like(across)], -1))
    turned_FHW3 = torch.einsum("hwj,fij->fhwi", direction_HW3, poses_F34[:, :, :3])
    origin_FHW3 = poses_F34[:, None, None, :, 3].expand_as(turned_FHW3)
    moment_FHW3 = torch.linalg.cross(origin_FHW3, turned_FHW3)
    return torch.cat([moment_FHW3, turned_FHW3], -1).permute(0, 3, 1, 2)


def _normalised(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def embeddings(
    move: CameraMove, speed: float, frames: int, size: tuple[int, int], lens: tuple[float, ...]
) -> Iterator[torch.Tensor]:
    """The input of the adapter for one latent frame after the other, float32 (1, 24, 1, H, W): the rays of its four
    frames as channels (those of a coordinate together); the first frame is repeated four times. frames: 4n + 1.
    size: width and height."""
    poses_F34 = poses(move, speed, frames)
    for group_434 in torch.cat([poses_F34[:1].expand(4, -1, -1), poses_F34[1:]]).split(4):
        yield rays(group_434, *size, lens).transpose(0, 1).flatten(0, 1)[None, :, None]


def tokens(
    plan: Plan, network: Any, placed: Callable[[torch.Tensor], torch.Tensor], using: Using
) -> torch.Tensor | None:
    """The addition to the patch embeddings (1, L, D) for the camera move of a plan, by the network's adapter; None
    without a move. using: holds the network on its device. One latent frame is computed after the other: rays of a
    whole clip would fill gigabytes."""
    camera = next((condition for condition in plan.conditions if condition.kind == "camera"), None)
    if camera is None:
        return None
    options = WanOptions.of(plan)
    speed, size = camera.amount * options.camera_speed, (plan.width, plan.height)
    groups = embeddings(camera.move, speed, plan.frames, size, options.camera_lens)
    with using(network):
        found = [network.control_adapter(placed(one)) for one in groups]
    return torch.cat(found, dim=2).flatten(2).transpose(1, 2)
