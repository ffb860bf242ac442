"""Camera moves as Fun-Camera reads them: rays of four frames (conditions/rays.py) as channels of one latent frame. The
speed is the condition's `amount` times the option camera_speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from ...conditions.rays import poses, rays
from ...core.conditions import CameraMove
from ...core.plan import Plan
from .options import WanOptions

Using = Callable[[Any], AbstractContextManager[Any]]


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
