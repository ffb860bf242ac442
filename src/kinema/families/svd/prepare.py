"""Prepare the image: on the canvas for the VAE, and normalised for CLIP's image encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ...conditions import image, inputs
from ...core.family import Prepared
from ...core.plan import Plan

CLIP_PX = 224
KERNEL_SIGMAS = 4.0


@dataclass(frozen=True)
class SvdPrepared(Prepared):
    """The image as pixels. original_BCHW: uncropped, at its own size."""

    original_BCHW: torch.Tensor | None = None


def prepare(plan: Plan) -> SvdPrepared:
    """Read the image and fit it to the canvas. MediaError if it cannot be read."""
    condition = next(each for each in plan.conditions if each.kind == "image")
    picture_HWC = inputs.picture(condition.image)
    styles = tuple((each.adapter, each.weight) for each in plan.conditions if each.kind == "style")
    first_BCHW = image.still(picture_HWC, plan.height, plan.width)
    return SvdPrepared(first_BCHW=first_BCHW, original_BCHW=image.to_unit(picture_HWC)[None], styles=styles)


def for_clip(x_BCHW: torch.Tensor, mean: list[float], std: list[float], side_px: int = CLIP_PX) -> torch.Tensor:
    """Resize an image in [-1, 1] to side_px squared, and normalise it by CLIP's mean and std.

    As in the published code: a Gaussian blur whose sigma grows with the reduction, then bicubic interpolation with
    aligned corners.
    """
    rows, columns = x_BCHW.shape[-2:]
    blurred = x_BCHW
    for axis, size in ((2, rows), (3, columns)):
        blurred = _blur(blurred, max((size / side_px - 1) / 2, 0.001), axis)
    small = F.interpolate(blurred, size=(side_px, side_px), mode="bicubic", align_corners=True)
    shape = (1, 3, 1, 1)
    mean_1C11, std_1C11 = (torch.tensor(each, device=x_BCHW.device).view(shape) for each in (mean, std))
    return ((small + 1) / 2 - mean_1C11) / std_1C11


def _blur(x_BCHW: torch.Tensor, sigma: float, axis: int) -> torch.Tensor:
    """Blur along one axis with a Gaussian of odd width (about four sigmas, at least 3) and mirrored edges."""
    width = int(max(KERNEL_SIGMAS * sigma, 3))
    width += 1 - width % 2
    offsets = torch.arange(width, dtype=x_BCHW.dtype, device=x_BCHW.device) - width // 2
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    shape = [1, 1, 1, 1]
    shape[axis] = width
    weight = (kernel / kernel.sum()).view(shape).expand(x_BCHW.shape[1], 1, *shape[2:])
    pad = (0, 0, width // 2, width // 2) if axis == 2 else (width // 2, width // 2, 0, 0)
    return F.conv2d(F.pad(x_BCHW, pad, mode="reflect"), weight, groups=x_BCHW.shape[1])
