"""What encoders of clips do to frames before their networks. Legend: B clips, F frames, H W pixels."""

from __future__ import annotations

from typing import Any

import numpy as np


def checked(frames_BFHWC: np.ndarray, least_frames: int) -> np.ndarray:
    """The array itself. Raises ValueError for all but RGB clips, uint8 or float32, of at least that many frames."""
    array = frames_BFHWC
    if array.ndim != 5 or array.shape[-1] != 3 or array.dtype not in (np.uint8, np.float32) or not len(array):
        raise ValueError(f"expected uint8 or float32 clips (B, F, H, W, 3), got {array.dtype} {array.shape}")
    if array.shape[1] < least_frames:
        raise ValueError(f"expected clips of at least {least_frames} frames, got {array.shape[1]}")
    return array


def as_network_input(frames_BFHWC: np.ndarray, least_frames: int) -> Any:
    """Frames as a float32 tensor in [0, 255], (B, 3, F, H, W). Raises ValueError as `checked`."""
    import torch

    array = checked(frames_BFHWC, least_frames)
    return torch.from_numpy(np.ascontiguousarray(array)).permute(0, 4, 1, 2, 3).float()


def resized(x_BCFHW: Any, side: int) -> Any:
    """Whole frames resized to a square, bilinear with antialiasing."""
    import torch

    if x_BCFHW.shape[-2:] == (side, side):
        return x_BCFHW
    batch, _channels, frames = x_BCFHW.shape[:3]
    flat = x_BCFHW.transpose(1, 2).flatten(0, 1)
    flat = torch.nn.functional.interpolate(flat, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return flat.unflatten(0, (batch, frames)).transpose(1, 2)
