"""The channels next to the noise: a mask and the kept pixels (InP), or a control clip (Control) or the rays of a camera
(Control-Camera), and a first picture."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch.nn import functional as F

from ...conditions.rays import CameraTrack
from .prepare import MASKED, EasyAnimatePrepared

RAYS = 6
"""Channels of rays, and the factor that they have as an input, as published."""


class Encode(Protocol):
    def __call__(self, x_BCFHW: torch.Tensor) -> torch.Tensor:
        """Pixels to scaled latents, the mode of the posterior."""
        ...


def inpaint(
    prepared: EasyAnimatePrepared, encode: Encode, shape: tuple[int, ...], scale: float, noise_BCFHW: Any
) -> torch.Tensor:  # fmt: skip
    """(1, 1 + C, T, h, w): a mask, 1 = keep, and the latents of the kept pixels. Zeros if nothing is kept.

    shape: of the latents, (1, C, T, h, w). scale: of the latents; the mask has it too, as published. noise_BCFHW: a
    function that returns noise of a shape, added to all pixels that are not black, as the models were trained."""
    batch, channels, *rest = shape
    known, mask = prepared.known_BCFHW, prepared.mask_BCFHW
    if known is None or mask is None or bool((mask >= 0.5).all()):
        return torch.zeros(batch, channels + 1, *rest)
    drawn = noise_BCFHW(tuple(known.shape))
    latents = encode(torch.where(known == MASKED, known, known + drawn))
    return torch.cat([resized(1 - mask, tuple(rest)) * scale, latents.to(mask)], dim=1)


def resized(x_BCFHW: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Resize frames to latents: the first alone, the others together, trilinear. size: (T, h, w)."""
    frames, *area = size
    first = F.interpolate(x_BCFHW[:, :, :1], size=(1, *area), mode="trilinear", align_corners=False)
    if frames == 1:
        return first
    others = F.interpolate(x_BCFHW[:, :, 1:], size=(frames - 1, *area), mode="trilinear", align_corners=False)
    return torch.cat([first, others], dim=2)


def control(prepared: EasyAnimatePrepared, encode: Encode, shape: tuple[int, ...]) -> torch.Tensor:
    """(1, 2C, T, h, w): the latents of the control clip, and those of the first picture at the first latent frame;
    zeros elsewhere. A single frame has no place for a picture, as published."""
    found = torch.zeros(shape)
    if prepared.control_BCFHW is not None:
        latents = encode(prepared.control_BCFHW)[:, :, : shape[2]]
        found[:, :, : latents.shape[2]] = latents
    return torch.cat([found, _first(prepared, encode, shape)], dim=1)


def camera(
    prepared: EasyAnimatePrepared, encode: Encode, shape: tuple[int, ...], track: CameraTrack | None,
    size: tuple[int, int],
) -> torch.Tensor:  # fmt: skip
    """(1, 6 + C, T, h, w): the rays of the frames, resized to the latents (zeros without a track), and the latents of
    the first picture as in `control`. size: width and height of the frames. One frame after the other: the rays of a
    whole clip would fill gigabytes."""
    found = torch.zeros(1, RAYS, *shape[2:])
    if track is not None:
        small = [
            F.interpolate(track.rays(frame, *size), size=shape[3:], mode="bilinear", align_corners=False)
            for frame in range(len(track.poses_F34))
        ]
        found = resized(torch.stack(small, dim=2), shape[2:]) * RAYS
    return torch.cat([found, _first(prepared, encode, shape)], dim=1)


def _first(prepared: EasyAnimatePrepared, encode: Encode, shape: tuple[int, ...]) -> torch.Tensor:
    found = torch.zeros(shape)
    if prepared.first_BCHW is not None and shape[2] > 1:
        found[:, :, :1] = encode(prepared.first_BCHW[:, :, None])
    return found
