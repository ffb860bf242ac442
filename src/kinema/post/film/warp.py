"""Warping by optical flow, and matching of features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

AROUND = 5
"""Side in px, on each level, of the square in which features are compared."""


def warp(image_BCHW: Tensor, flow_B2HW: Tensor) -> Tensor:
    """Sample the image at x + flow(x), bilinear, border repeated. flow: (x, y) in px."""
    height, width = image_BCHW.shape[-2:]
    kind: dict[str, Any] = {"dtype": flow_B2HW.dtype, "device": flow_B2HW.device}
    xs = (torch.arange(width, **kind) * 2 + 1) / width - 1
    ys = ((torch.arange(height, **kind) * 2 + 1) / height - 1)[:, None]
    grid_BHW2 = torch.stack([flow_B2HW[:, 0] * (2 / width) + xs, flow_B2HW[:, 1] * (2 / height) + ys], -1)
    return F.grid_sample(image_BCHW, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False)


def upscale_flow(flow_BCHW: Tensor) -> Tensor:
    """Upscale a flow to the next finer level: twice the size, with doubled values."""
    return F.interpolate(flow_BCHW * 2, scale_factor=2, mode="bilinear", align_corners=False)


def pyramid(image_BCHW: Tensor, levels: int) -> list[Tensor]:
    """An image pyramid, finest first; each level averages 2 x 2 px of the one before."""
    found = [image_BCHW]
    while len(found) < levels:
        found.append(F.avg_pool2d(found[-1], 2))
    return found


def compare(a_BCHW: Tensor, b_BCHW: Tensor, reach: int, window: int) -> Tensor:
    """Similarity of a(x - d) and b(x + d) for every d within reach px, row by row: cosine of features minus their mean
    over `window` px, averaged over AROUND x AROUND px; (B, (2 * reach + 1) ** 2, H, W)."""
    height, width = a_BCHW.shape[-2:]
    edge, side = (reach,) * 4, AROUND // 2
    mean = local_mean((a_BCHW + b_BCHW) / 2, window)
    plain = [x - mean for x in (a_BCHW, b_BCHW)]
    a, b = (F.pad(x * (x.square().sum(1, keepdim=True) + 1e-6).rsqrt(), edge) for x in plain)
    found = []
    for dy, dx in displacements(reach):
        before = a[..., reach - dy : reach - dy + height, reach - dx : reach - dx + width]
        after = b[..., reach + dy : reach + dy + height, reach + dx : reach + dx + width]
        found.append((before * after).sum(1))
    return F.avg_pool2d(F.pad(torch.stack(found, 1), (side,) * 4, mode="replicate"), AROUND, 1)


def local_mean(x_BCHW: Tensor, window: int) -> Tensor:
    """The local mean over about window x window px; the global mean if the window covers the image."""
    sides = [min(window, side) for side in x_BCHW.shape[-2:]]
    if list(x_BCHW.shape[-2:]) == sides:
        return x_BCHW.mean((2, 3), keepdim=True)
    down, across = (side // 2 for side in sides)
    whole = F.pad(x_BCHW, (across, across, down, down), mode="replicate")
    means = F.avg_pool2d(whole, sides, stride=(max(1, down), max(1, across)))
    return F.interpolate(means, size=x_BCHW.shape[-2:], mode="bilinear", align_corners=True)


def displacements(reach: int) -> list[tuple[int, int]]:
    """(dy, dx) in the order of the channels of `compare`."""
    steps = range(-reach, reach + 1)
    return [(dy, dx) for dy in steps for dx in steps]


def best_match(alike_BDHW: Tensor, sharpness: Tensor, reach: int) -> Tensor:
    """The best displacement, (x, y) in px: a soft argmax with weights softmax(similarity * sharpness)."""
    weight = (alike_BDHW * sharpness).softmax(1)
    steps = torch.tensor(displacements(reach), dtype=alike_BDHW.dtype, device=alike_BDHW.device)
    return torch.einsum("bdhw,dk->bkhw", weight, steps.flip(1))
