"""A picture as an image encoder of the CLIP family reads it: 224 pixels a side, its values rounded to 8 bits."""

from __future__ import annotations

import numpy as np

from .values import Pictures

SIDE_PX = 224


def as_seen(pictures: Pictures, crop: str) -> np.ndarray:
    """The first picture, float32 (SIDE_PX, SIDE_PX, 3) in [0, 1]: resized bicubically with antialiasing. crop: "center"
    keeps its aspect and cuts the longer side; "none" squashes it."""
    import torch

    height, width = pictures.height, pictures.width
    scale = SIDE_PX / min(height, width)
    size = (round(scale * height), round(scale * width)) if crop == "center" else (SIDE_PX, SIDE_PX)
    frame_HWC = next(iter(pictures.blocks(0, 1)))[0, ..., :3]
    x_BCHW = torch.from_numpy(np.ascontiguousarray(frame_HWC)).movedim(-1, 0)[None]
    x_BCHW = torch.nn.functional.interpolate(x_BCHW, size=size, mode="bicubic", antialias=True)
    top, left = (size[0] - SIDE_PX) // 2, (size[1] - SIDE_PX) // 2
    cut = x_BCHW[0, :, top : top + SIDE_PX, left : left + SIDE_PX].movedim(0, -1)
    found: np.ndarray = (cut * 255).clamp(0, 255).round().div(255).numpy()
    return np.ascontiguousarray(found, np.float32)
