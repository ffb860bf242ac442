"""VACE conditions for training, numerically equal to those of the published pipeline (arXiv 2503.07598, section 3).

A condition is a clip, a mask (1 = generate, 0 = keep) and any number of reference images. The clip is split into the
part to keep (inactive) and the part to change (reactive); both are encoded, and the mask is folded into 64 channels. A
reference image is one more latent frame in front, with zeros in its other channels.
Shapes: B batch, C channels, F pixel frames, T latent frames, H W pixels, h w latent cells.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 8  # pixels of a latent cell


def split(frames_BCFHW: Tensor, mask_BFHW: Tensor) -> tuple[Tensor, Tensor]:
    """(inactive, reactive) frames. The mask is thresholded at 0.5; the other part becomes 0, mid gray."""
    hard = (mask_BFHW > 0.5).to(frames_BCFHW)[:, None]
    return frames_BCFHW * (1 - hard), frames_BCFHW * hard


def fold_mask(mask_BFHW: Tensor, num_references: int = 0) -> Tensor:
    """Fold a mask to (B, 64, T, h, w): one channel per pixel of a cell, nearest-exact over time, zeros for references
    in front."""
    b, f, height, width = mask_BFHW.shape
    h, w, t = height // CELL, width // CELL, (f + 3) // 4
    cells = mask_BFHW.view(b, f, h, CELL, w, CELL).permute(0, 3, 5, 1, 2, 4).reshape(b, CELL * CELL, f, h, w)
    folded = F.interpolate(cells, size=(t, h, w), mode="nearest-exact")
    return F.pad(folded, (0, 0, 0, 0, num_references, 0))


def assemble(
    inactive_BCThw: Tensor, reactive_BCThw: Tensor, mask_BFHW: Tensor, reference_BCNhw: Tensor | None = None
) -> Tensor:
    """Assemble the control input (B, 96, N + T, h, w) from encoded, normalized parts, N references in front."""
    latents = torch.cat([inactive_BCThw, reactive_BCThw], dim=1)
    if reference_BCNhw is not None:
        front = torch.cat([reference_BCNhw, torch.zeros_like(reference_BCNhw)], dim=1)
        latents = torch.cat([front, latents], dim=2)
    folded = fold_mask(mask_BFHW, 0 if reference_BCNhw is None else reference_BCNhw.shape[2])
    return torch.cat([latents, folded.to(latents)], dim=1)


def context(
    encode: Callable[[Tensor], Tensor],
    frames_BCFHW: Tensor,
    mask_BFHW: Tensor,
    reference_BCHW: Tensor | None = None,
) -> Tensor:
    """Compute the control input from pixels in [-1, 1]. `encode` returns normalized mean latents."""
    inactive, reactive = split(frames_BCFHW, mask_BFHW)
    reference = None if reference_BCHW is None else encode(reference_BCHW[:, :, None])
    return assemble(encode(inactive), encode(reactive), mask_BFHW, reference)


def letterbox(image_HWC: np.ndarray, height: int, width: int) -> Tensor:
    """Fit a reference image (uint8) into a white canvas, centred; (3, height, width) in [-1, 1].

    Unlike the pipeline, it does not first round the sides of the image down to multiples of 8.
    """
    image = torch.from_numpy(np.ascontiguousarray(image_HWC)).permute(2, 0, 1)[None].float() / 127.5 - 1
    scale = min(height / image.shape[2], width / image.shape[3])
    rows, columns = int(image.shape[2] * scale), int(image.shape[3] * scale)
    small = F.interpolate(image, size=(rows, columns), mode="bilinear", align_corners=False)[0]
    top, left = (height - rows) // 2, (width - columns) // 2
    canvas = torch.ones(3, height, width)
    canvas[:, top : top + rows, left : left + columns] = small
    return canvas


def object_crop(frame_HWC: np.ndarray, mask_HW: np.ndarray, margin_px: int = 2) -> np.ndarray | None:
    """Cut an object out on white, with a margin, padded to a square; None if fewer than 30 pixels are visible."""
    rows, columns = np.nonzero(mask_HW)
    if len(rows) < 30:
        return None
    cut = np.where(mask_HW[..., None], frame_HWC, np.uint8(255))
    top, bottom = max(rows.min() - margin_px, 0), min(rows.max() + 1 + margin_px, mask_HW.shape[0])
    left, right = max(columns.min() - margin_px, 0), min(columns.max() + 1 + margin_px, mask_HW.shape[1])
    crop = cut[top:bottom, left:right]
    side = max(crop.shape[:2])
    square = np.full((side, side, 3), 255, np.uint8)
    y, x = (side - crop.shape[0]) // 2, (side - crop.shape[1]) // 2
    square[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return square
