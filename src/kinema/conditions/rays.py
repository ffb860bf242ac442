"""A camera as rays: a pose for each frame, and for each pixel its ray in Pluecker coordinates (origin x direction,
direction; Sitzmann et al. 2021, arXiv 2106.02634), as models with camera control read it.

x points right, y down, z into the picture; the first frame's camera is at the origin. The numbers are those of
CameraCtrl, VideoX-Fun, EasyAnimate and ComfyUI's WanCameraEmbedding.

Legend: F frames, H W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..core.conditions import Camera, CameraMove

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


@dataclass(frozen=True)
class CameraTrack:
    """A camera in each frame. poses_F34: camera to world. lenses: of each frame, see `rays`."""

    poses_F34: torch.Tensor
    lenses: tuple[tuple[float, ...], ...]

    def rays(self, frame: int, width: int, height: int) -> torch.Tensor:
        """The rays of one frame, (1, 6, H, W)."""
        return rays(self.poses_F34[frame : frame + 1], width, height, self.lenses[frame])


def track(camera: Camera, frames: int, speed: float, lens: tuple[float, ...]) -> CameraTrack:
    """The camera of a condition. speed multiplies the amount of a move; lens is that of a move. Poses have their own
    lenses; they are taken relative to the first."""
    if not camera.poses:
        return CameraTrack(poses(camera.move, camera.amount * speed, frames), (lens,) * frames)
    numbers_FN = torch.tensor(camera.poses[:frames], dtype=torch.float64)
    to_camera_F44 = torch.eye(4, dtype=torch.float64).repeat(len(numbers_FN), 1, 1)
    to_camera_F44[:, :3] = numbers_FN[:, 4:].unflatten(1, (3, 4))
    relative_F44 = to_camera_F44[:1] @ torch.linalg.inv(to_camera_F44)
    relative_F44[0] = torch.eye(4)
    return CameraTrack(relative_F44[:, :3].float(), tuple(pose[:4] for pose in camera.poses[:frames]))


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
