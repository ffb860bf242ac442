"""Layers of the slice autoencoder. Every convolution is two-dimensional, over single frames; frames of one slice meet
in 1x1 convolutions over the channels of neighbours in time. Norms see one frame, so slices do not change each other.

Shapes: N = B * T frames in the batch, clip by clip; C channels, T frames of a clip or slice, H W.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def neighbours(x_NCHW: Tensor, num_frames: int) -> Tensor:
    """(N, 3C, H, W): each frame with the one before and the one after it; the ends repeat themselves."""
    x = x_NCHW.unflatten(0, (-1, num_frames))
    before, after = torch.cat([x[:, :1], x[:, :-1]], 1), torch.cat([x[:, 1:], x[:, -1:]], 1)
    return torch.cat([before, x, after], 2).flatten(0, 1)


class SliceResidual(nn.Module):
    """Two spatial convolutions; in between, with `temporal`, a residual one over neighbours in time."""

    def __init__(self, entering: int, leaving: int, groups: int, temporal: bool = True) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, entering, 1e-5), nn.GroupNorm(groups, leaving, 1e-5)
        self.conv1 = nn.Conv2d(entering, leaving, 3, padding=1)
        self.conv2 = nn.Conv2d(leaving, leaving, 3, padding=1)
        self.time = nn.Conv2d(3 * leaving, leaving, 1) if temporal else None
        self.shortcut = nn.Conv2d(entering, leaving, 1) if entering != leaving else None

    def forward(self, x_NCHW: Tensor, num_frames: int) -> Tensor:
        y: Tensor = self.conv1(F.silu(self.norm1(x_NCHW)))
        if self.time is not None:
            y = y + self.time(neighbours(y, num_frames))
        y = self.conv2(F.silu(self.norm2(y)))
        return y + (x_NCHW if self.shortcut is None else self.shortcut(x_NCHW))


class SliceDown(nn.Module):
    """Halve height and width and, with `temporal`, the number of frames; a single frame stays one."""

    def __init__(self, entering: int, leaving: int, temporal: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * entering, leaving, 1)
        self.time = nn.Conv2d(2 * leaving, leaving, 1) if temporal else None

    def forward(self, x_NCHW: Tensor, num_frames: int) -> tuple[Tensor, int]:
        y: Tensor = self.conv(F.pixel_unshuffle(x_NCHW, 2))
        if self.time is None:
            return y, num_frames
        if num_frames == 1:
            return self.time(torch.cat([y, y], 1)), 1
        pairs = y.unflatten(0, (-1, 2))
        return self.time(torch.cat([pairs[:, 0], pairs[:, 1]], 1)), num_frames // 2


class SliceUp(nn.Module):
    """Double height and width and, with `temporal`, the number of frames; a single frame stays one."""

    def __init__(self, entering: int, leaving: int, temporal: bool) -> None:
        super().__init__()
        self.time = nn.Conv2d(entering, 2 * entering, 1) if temporal else None
        self.conv = nn.Conv2d(entering, 4 * leaving, 1)

    def forward(self, x_NCHW: Tensor, num_frames: int) -> tuple[Tensor, int]:
        if self.time is not None:
            first, second = self.time(x_NCHW).chunk(2, 1)
            if num_frames == 1:
                x_NCHW = (first + second) / 2
            else:
                x_NCHW, num_frames = torch.stack([first, second], 1).flatten(0, 1), 2 * num_frames
        return F.pixel_shuffle(self.conv(x_NCHW), 2), num_frames
