"""Fun-Control and Fun-Camera: the channels beside the noise, and the parts that the library's transformer lacks.

A control clip and a start picture are encoded and concatenated to the noise; latents that nothing gives are 0. Version
1.1 and 2.2 have a convolution for a reference picture, whose tokens stand before the video's as one more latent frame.
Fun-Camera has an adapter that turns rays (fun_camera.py, conditions/rays.py) into an addition to the patch embeddings.

ComfyUI's nodes as requests (pictures in arrays of exact values, conditions/arrays.py, cropped to the canvas):
WanFunControlToVideo and Wan22FunControlToVideo: start_image is image:first, control_video a control of any kind,
ref_image a reference; each may be absent. WanCameraImageToVideo: start_image is image:first, camera_conditions the
condition camera with amount 1, the option camera_speed (its speed) and camera_lens (its fx, fy, cx, cy).
WanFunInpaintToVideo: image:first and image:last. CLIP's states are those of image:first, as in the templates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...core.errors import ModelError
from ...core.plan import Plan
from . import fun_layout
from .prepare import WanPrepared

Encode = Callable[[torch.Tensor], torch.Tensor]
STARTS = ("ref_conv.", "control_adapter.")
"""Prefixes of the tensors of the additional parts."""


def inputs(
    plan: Plan, prepared: WanPrepared, encode: Encode, network: Any, grid: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The channels concatenated to the noise, (1, C, T, H/space, W/space), and the latents of the reference picture
    (1, z, H/space, W/space), if any; float32.

    encode: maps pixels (1, 3, F, H, W) in [-1, 1] to normalised latents. grid: latent frames, and pixels per latent.
    """
    frames, space = grid
    shape = (1, network.config.out_channels, frames, plan.height // space, plan.width // space)

    def placed(pixels_BCFHW: torch.Tensor | None) -> torch.Tensor:
        found = torch.zeros(shape)
        if pixels_BCFHW is not None:
            latents = encode(pixels_BCFHW)[:, :, :frames]
            found[:, :, : latents.shape[2]] = latents
        return found

    first = prepared.first_BCHW[:, :, None] if prepared.first_BCHW is not None else None
    mask = torch.zeros(1, fun_layout.MASK, *shape[2:])
    mask[:, :, 0] = 0.0 if first is None else 1.0
    parts = {"control": lambda: placed(prepared.control_BCFHW), "mask": lambda: mask, "start": lambda: placed(first)}
    order = fun_layout.channels(network.config.in_channels, shape[1], hasattr(network, "control_adapter"))
    reference = encode(prepared.references[0][:, :, None])[:, :, 0] if prepared.references else None
    return torch.cat([parts[name]() for name in order], dim=1), reference


class CameraAdapter(nn.Module):
    """Rays (1, 24, T, H, W) to an addition to the patch embeddings (1, D, T, H/16, W/16): pixels to channels, a
    convolution, and residual blocks. The names are those of the published files."""

    def __init__(self, in_channels: int, cell: int, width: int, blocks: int) -> None:
        super().__init__()
        self.cell = cell
        self.conv = nn.Conv2d(in_channels * cell**2, width, 2, 2)
        self.residual_blocks = nn.ModuleList([RayBlock(width) for _ in range(blocks)])

    def forward(self, rays_BCTHW: torch.Tensor) -> torch.Tensor:
        x = nn.functional.pixel_unshuffle(rays_BCTHW[0].movedim(1, 0), self.cell)  # T C*cell^2 H/cell W/cell
        x = self.conv(x)
        for block in self.residual_blocks:
            x = block(x)
        return x.movedim(0, 1)[None]


class RayBlock(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        return x_BCHW + self.conv2(nn.functional.relu(self.conv1(x_BCHW)))


def split(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take the tensors of the additional parts out of a state."""
    return {key: state.pop(key) for key in list(state) if key.startswith(STARTS)}


RAY_CHANNELS = 24


def attach(network: Any, state: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    """Build the additional parts from their tensors as `ref_conv` and `control_adapter` of a transformer. ModelError
    if tensors are missing or unknown."""
    for start in STARTS:
        own = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
        if own:
            setattr(network, start[:-1], _built(start, own, dtype))


def _built(start: str, own: dict[str, torch.Tensor], dtype: torch.dtype) -> nn.Module:
    name = "weight" if start == "ref_conv." else "conv.weight"
    if name not in own or own[name].ndim != 4 or own[name].shape[2:] != (2, 2):
        raise ModelError(f"{start}{name} is missing or no convolution of 2x2.")
    width, channels = own[name].shape[:2]
    with torch.device("meta"):
        if start == "ref_conv.":
            part: nn.Module = nn.Conv2d(channels, width, 2, 2)
        else:
            cell = round((channels / RAY_CHANNELS) ** 0.5)
            blocks = {key.split(".")[1] for key in own if key.startswith("residual_blocks.")}
            part = CameraAdapter(RAY_CHANNELS, cell, width, len(blocks))
    wanted = {key: value.shape for key, value in part.state_dict().items()}
    for key in sorted({*wanted, *own}):
        if key not in own:
            raise ModelError(f"{start}{key} is missing.")
        if key not in wanted or own[key].shape != wanted[key]:
            raise ModelError(f"{start}{key} is not a part of this network, or has another shape.")
    part.load_state_dict({key: value.to(dtype) for key, value in own.items()}, assign=True)
    return part
