"""Camera moves as Fun-Camera reads them: rays of four frames (conditions/rays.py) as channels of one latent frame. The
speed is the condition's `amount` times the option camera_speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from ...conditions.rays import CameraTrack, track
from ...core.plan import Plan
from .options import WanOptions

Using = Callable[[Any], AbstractContextManager[Any]]


def embeddings(camera: CameraTrack, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    """The input of the adapter for one latent frame after the other, float32 (1, 24, 1, H, W): the rays of its four
    frames as channels (those of a coordinate together); the first frame is repeated four times. camera: of 4n + 1
    frames. size: width and height."""
    frames = [0, 0, 0, *range(len(camera.poses_F34))]
    for start in range(0, len(frames), 4):
        group_46HW = torch.cat([camera.rays(frame, *size) for frame in frames[start : start + 4]])
        yield group_46HW.transpose(0, 1).flatten(0, 1)[None, :, None]


def tokens(
    plan: Plan, network: Any, placed: Callable[[torch.Tensor], torch.Tensor], using: Using
) -> torch.Tensor | None:
    """The addition to the patch embeddings (1, L, D) for the camera of a plan, by the network's adapter; None
    without a camera. using: holds the network on its device. One latent frame is computed after the other: rays of a
    whole clip would fill gigabytes."""
    camera = next((condition for condition in plan.conditions if condition.kind == "camera"), None)
    if camera is None:
        return None
    options = WanOptions.of(plan)
    seen = track(camera, plan.frames, options.camera_speed, options.camera_lens)
    groups = embeddings(seen, (plan.width, plan.height))
    with using(network):
        found = [network.control_adapter(placed(one)) for one in groups]
    return torch.cat(found, dim=2).flatten(2).transpose(1, 2)
