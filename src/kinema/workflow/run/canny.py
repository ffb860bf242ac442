"""Edges by Canny's method (J. Canny, 1986) with the numbers of the node of ComfyUI, which are those of kornia.

Gray of Rec. 601; a Gaussian of 5 x 5 pixels, sigma 1, mirrored at the border; Sobel's gradients, unscaled, with the
border repeated; directions rounded to 45 degrees; a pixel stays if its gradient is larger than both neighbours' in its
direction, or equal to that on the right or below (so of two equal ones across a step the first stays); of those above
the low threshold stay the ones connected to one above the high threshold.
"""

from __future__ import annotations

import numpy as np

EPSILON = 1e-6
_GRAY = (0.299, 0.587, 0.114)
_ROUND = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""(rows down, columns right) of the neighbour in each direction, by 45 degrees."""


def canny_edges(frames_FHWC: np.ndarray, low: float, high: float) -> np.ndarray:
    """Edges, 0 or 1, float32 (F, H, W), of RGB pictures in [0, 1]. Thresholds are of the gradient's length."""
    import cv2

    thin_FHW = thin_gradients(frames_FHWC)
    edges_FHW = np.zeros(thin_FHW.shape, np.float32)
    for thin_HW, edges_HW in zip(thin_FHW, edges_FHW):
        num, labels_HW = cv2.connectedComponents((thin_HW > low).astype(np.uint8), connectivity=8)
        strong = np.zeros(num, bool)
        strong[labels_HW[(thin_HW > high) & (labels_HW > 0)]] = True
        edges_HW[:] = strong[labels_HW]
    return edges_FHW


def thin_gradients(frames_FHWC: np.ndarray) -> np.ndarray:
    """The lengths of the gradients that are larger than their neighbours', else 0: float32 (F, H, W)."""
    import torch
    from torch.nn import functional as nn

    frames = torch.from_numpy(np.ascontiguousarray(frames_FHWC[..., :3])).movedim(-1, 1)
    gray = (_GRAY[0] * frames[:, 0:1] + _GRAY[1] * frames[:, 1:2] + _GRAY[2] * frames[:, 2:3]).contiguous()
    offsets = torch.arange(-2, 3, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / 2)
    kernel = kernel / kernel.sum()
    smooth = nn.conv2d(_padded(gray, 0, 2, "reflect"), kernel.view(1, 1, 1, 5))
    smooth = nn.conv2d(_padded(smooth, 2, 0, "reflect"), kernel.view(1, 1, 5, 1))
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    across, down = nn.conv2d(_padded(smooth, 1, 1, "replicate"), torch.stack([sobel, sobel.T])[:, None]).unbind(1)
    length_FHW = torch.sqrt(across * across + down * down + EPSILON)
    turn_FHW = (torch.round(torch.rad2deg(torch.atan2(down, across)) / 45) % 8).long()
    flat = EPSILON**0.5
    around = nn.pad(length_FHW, (1, 1, 1, 1), value=flat)
    height, width = length_FHW.shape[1:]
    less = torch.stack([
        around[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width] for row, column in _ROUND
    ])  # fmt: skip
    is_top = length_FHW > flat
    for turn in (turn_FHW, (turn_FHW + 4) % 8):
        other = less.gather(0, turn[None])[0]
        is_top &= (length_FHW > other) | ((length_FHW == other) & ((turn == 0) | (turn == 2)))
    return (length_FHW * is_top).numpy()


def _padded(frames, rows, columns, mode):  # type: ignore[no-untyped-def]
    """Pad by rows and columns; a picture too small to mirror is repeated at its border."""
    from torch.nn import functional as nn

    if mode == "reflect" and (rows >= frames.shape[-2] or columns >= frames.shape[-1]):
        mode = "replicate"
    return nn.pad(frames, (columns, columns, rows, rows), mode=mode)
