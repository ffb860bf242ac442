"""Exact ground truth of a rendered clip: cameras, tracks and optical flow.

Suffixes: B scenes, N actor slots, F frames, H W pixels, L layers; the last 2 of a track or flow is (x, y) in pixels.
Image coordinates are pixel indices: (0, 0) is the centre of the top left pixel. All planes have their origin at the
centre of the frame and the frame's height as unit.
"""

from __future__ import annotations

import torch
from torch import Tensor


def plane_affine(
    shift_BF2: Tensor,
    zoom_BF: Tensor,
    roll_BF: Tensor,
    *,
    depth: float,
    drift: float,
    time_F: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """Affine maps, affine_BF23, from a layer's plane to the image, float64. size is (height, width)."""
    height, width = size
    zoom_BF = (1.0 + (zoom_BF - 1.0) * depth) * height
    shift_BF2 = shift_BF2 * depth
    shift_x = shift_BF2[..., 0] - drift * time_F
    shift_y = shift_BF2[..., 1]
    cos, sin = zoom_BF * torch.cos(roll_BF), zoom_BF * torch.sin(roll_BF)
    left = (width - 1) / 2 - cos * shift_x + sin * shift_y
    top = (height - 1) / 2 - sin * shift_x - cos * shift_y
    return torch.stack([torch.stack([cos, -sin, left], -1), torch.stack([sin, cos, top], -1)], -2)


def frame_affine(affine_BF23: Tensor, size: tuple[int, int]) -> Tensor:
    """Convert affine maps to points in fractions of the frame instead of frame heights."""
    aspect = size[1] / size[0]
    linear, offset = affine_BF23[..., :2], affine_BF23[..., 2]
    scaled = linear * torch.tensor([aspect, 1.0], dtype=linear.dtype)
    middle = scaled @ torch.tensor([0.5, 0.5], dtype=linear.dtype)
    return torch.cat([scaled, (offset - middle)[..., None]], -1)


def apply_affine(affine_23: Tensor, points_2: Tensor) -> Tensor:
    """Apply affine maps [..., 2, 3] to points [..., 2]."""
    return (affine_23[..., :2] @ points_2[..., None])[..., 0] + affine_23[..., 2]


def actor_affine(camera_BF23: Tensor, centre_BF2: Tensor, size_BF: Tensor, turn_BF: Tensor) -> Tensor:
    """Affine maps, affine_BF23, from an actor's own coordinates (unit: its radius) to the image."""
    cos, sin = size_BF * torch.cos(turn_BF), size_BF * torch.sin(turn_BF)
    own = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    linear = camera_BF23[..., :2] @ own
    return torch.cat([linear, apply_affine(camera_BF23, centre_BF2)[..., None]], -1)


def step_affine(affine_F23: Tensor) -> Tensor:
    """Maps from image points of frame f to frame f + 1, step_F23 [..., F, 2, 3]; the identity for the last frame."""
    now, after = affine_F23[..., :-1, :, :], affine_F23[..., 1:, :, :]
    safe = now[..., :2] + torch.eye(2, dtype=now.dtype) * (now[..., :2].abs().sum((-1, -2), keepdim=True) == 0)
    linear = after[..., :2] @ torch.linalg.inv(safe)
    offset = after[..., 2] - (linear @ now[..., 2:])[..., 0]
    steps = torch.cat([linear, offset[..., None]], -1)
    still = torch.eye(2, 3, dtype=steps.dtype).expand(*steps.shape[:-3], 1, 2, 3)
    return torch.cat([steps, still], -3)


def flow_from_labels(labels_FHW: Tensor, steps_LF23: Tensor, kinds_L: list[int]) -> Tensor:
    """Forward flow_FHW2 (float32, px): each pixel moves with the layer or actor of its label.

    kinds_L: the label of each row of steps_LF23.
    """
    num_frames, height, width = labels_FHW.shape
    device = labels_FHW.device
    ys = torch.arange(height, dtype=torch.float32, device=device)[:, None]
    xs = torch.arange(width, dtype=torch.float32, device=device)
    flow_FHW2 = torch.zeros(num_frames, height, width, 2, device=device)
    for steps_F23, label in zip(steps_LF23, kinds_L, strict=True):
        here = labels_FHW == label
        if not bool(here.any()):
            continue
        delta = steps_F23 - torch.eye(2, 3, dtype=steps_F23.dtype)
        step = delta.float().to(device)[:, :, :, None, None]
        moved = [step[:, axis, 0] * xs + step[:, axis, 1] * ys + step[:, axis, 2] for axis in range(2)]
        flow_FHW2 = torch.where(here[..., None], torch.stack(moved, -1), flow_FHW2)
    return flow_FHW2
