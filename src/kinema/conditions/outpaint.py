"""Outpainting: the position of the original picture in the extended frame, and the new area."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Grow = tuple[float, ...]
"""Extension at the left, top, right and bottom, as fractions of the picture's width and height."""
FILL = 128


def margins_px(height: int, width: int, grow: Grow) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in whole pixels."""
    left, top, right, bottom = grow or (0.0, 0.0, 0.0, 0.0)
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


def grown(frame_HWC: np.ndarray, grow: Grow) -> np.ndarray:
    """The picture in its extended frame, surrounded by gray."""
    left, top, right, bottom = margins_px(frame_HWC.shape[0], frame_HWC.shape[1], grow)
    fill = FILL / 255 if frame_HWC.dtype == np.float32 else FILL
    return np.pad(frame_HWC, ((top, bottom), (left, right), (0, 0)), constant_values=fill)


def new_area(height: int, width: int, grow: Grow) -> np.ndarray:
    """(H', W') bool mask of the extended frame: True outside the original picture of this height and width."""
    left, top, right, bottom = margins_px(height, width, grow)
    new = np.ones((height + top + bottom, width + left + right), bool)
    new[top : top + height, left : left + width] = False
    return new


def mask(height: int, width: int, grow: Grow, num_frames: int, rows: int, columns: int) -> torch.Tensor:
    """The new area on a canvas of rows x columns, cropped like the frames: (1, 1, F, rows, columns) float."""
    import torch

    from .image import cover

    pixels = new_area(height, width, grow).astype(np.uint8)[..., None].repeat(3, -1) * 255
    on_canvas = cover(pixels, rows, columns)[..., 0] > 127
    return torch.from_numpy(on_canvas).float().expand(1, 1, num_frames, rows, columns).clone()


def outer_size(width: int, height: int, grow: Grow) -> tuple[int, int]:
    """(width, height) of the extended frame."""
    left, top, right, bottom = margins_px(height, width, grow)
    return width + left + right, height + top + bottom
