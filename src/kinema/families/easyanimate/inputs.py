"""The channels next to the noise: a mask and the kept pixels (InP), or a control clip and a first picture (Control)."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch.nn import functional as F

from .prepare import MASKED, EasyAnimatePrepared


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
    found = torch.zeros(2, *shape)
    if prepared.control_BCFHW is not None:
        latents = encode(prepared.control_BCFHW)[:, :, : shape[2]]
        found[0, :, :, : latents.shape[2]] = latents
    if prepared.first_BCHW is not None and shape[2] > 1:
        found[1, :, :, :1] = encode(prepared.first_BCHW[:, :, None])
    return torch.cat([found[0], found[1]], dim=1)
