"""Conversion between pixels of files (uint8 RGB) and of networks (float in [-1, 1])."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from ..core.chunk import Chunk


def to_unit(pixels_HWC: np.ndarray) -> torch.Tensor:
    """uint8 RGB (..., H, W, 3), or float32 RGB in [0, 1], to float32 in [-1, 1], channels first: (..., 3, H, W)."""
    if pixels_HWC.dtype == np.float32:
        return torch.from_numpy(np.array(pixels_HWC)).movedim(-1, -3).mul_(2.0).sub_(1.0)
    return torch.from_numpy(np.array(pixels_HWC)).movedim(-1, -3).float().div_(127.5).sub_(1.0)


def from_unit(pixels_NCHW: torch.Tensor) -> np.ndarray:
    """Pixels in [-1, 1], (N, 3, H, W), to uint8 RGB (N, H, W, 3), rounded (on their device, then copied once)."""
    unit = pixels_NCHW.movedim(1, -1).float().add(1.0).mul_(127.5).round_().clamp_(0, 255)
    return unit.byte().cpu().numpy()


def as_chunks(
    slices_NCHW: Iterator[torch.Tensor], start: int, fps: float, precision: Callable[[], AbstractContextManager[Any]]
) -> Iterator[Chunk]:
    """Chunks of a decoder's frames (in [-1, 1], slice by slice), numbered from `start`. precision: a context entered
    while a slice is decoded, but not while one is yielded."""
    while True:
        with precision():
            pixels_NCHW = next(slices_NCHW, None)
        if pixels_NCHW is None:
            return
        frames = from_unit(pixels_NCHW)
        yield Chunk(frames, start, fps)
        start += len(frames)
