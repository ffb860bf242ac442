"""Fitting pictures to the canvas: cover, crop, letterbox. Suffixes: see core/shapes.py."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..diffusion.pixels import to_unit

__all__ = ["cover", "letterbox", "still", "to_unit"]


def cover(
    pixels_HWC: np.ndarray, height: int, width: int, kernel: Image.Resampling = Image.Resampling.LANCZOS
) -> np.ndarray:
    """Scale a picture (or a gray one, HW) to cover the canvas and crop its middle; returns the same array if it
    fits. uint8, or float32, which stays float32."""
    rows, columns = pixels_HWC.shape[:2]
    if (rows, columns) == (height, width):
        return pixels_HWC
    scale = max(height / rows, width / columns)
    wide, tall = max(width, round(columns * scale)), max(height, round(rows * scale))
    left, top = (wide - width) // 2, (tall - height) // 2

    def fitted(pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(pixels).resize((wide, tall), kernel)
        return np.asarray(image.crop((left, top, left + width, top + height)))

    if pixels_HWC.dtype == np.float32 and pixels_HWC.ndim == 3:
        return np.stack([fitted(np.ascontiguousarray(channel_HW)) for channel_HW in np.moveaxis(pixels_HWC, -1, 0)], -1)
    return fitted(pixels_HWC)


def still(pixels_HWC: np.ndarray, height: int, width: int) -> torch.Tensor:
    """A picture for one frame: (1, 3, H, W) in [-1, 1], covering the canvas."""
    return to_unit(cover(pixels_HWC, height, width))[None]


def letterbox(pixels_HWC: np.ndarray, height: int, width: int) -> torch.Tensor:
    """A reference image, uncropped and centred on a white canvas, bilinear without antialiasing (as in diffusers'
    `VaceVideoProcessor`). Returns (1, 3, H, W) in [-1, 1]."""
    picture_BCHW = to_unit(pixels_HWC)[None]
    rows, columns = pixels_HWC.shape[:2]
    scale = min(height / rows, width / columns)
    tall, wide = max(1, int(rows * scale)), max(1, int(columns * scale))
    fitted_BCHW = torch.nn.functional.interpolate(picture_BCHW, size=(tall, wide), mode="bilinear", align_corners=False)
    canvas_BCHW = torch.ones(1, 3, height, width)
    top, left = (height - tall) // 2, (width - wide) // 2
    canvas_BCHW[:, :, top : top + tall, left : left + wide] = fitted_BCHW
    return canvas_BCHW
