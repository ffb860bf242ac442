"""Clips longer than a motion adapter knows: windows in time that overlap, and noise that is alike from window to window
(the ways of FreeNoise, Qiu et al. 2023, arXiv 2310.15169, at the level of predictions).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...core import windows
from ...diffusion.noise import noise


def blend(
    predict: Callable[[torch.Tensor, slice], torch.Tensor], x_BCTHW: torch.Tensor, length: int, overlap: int
) -> torch.Tensor:
    """The prediction of each window (`predict` is told which frames it is of), averaged where they overlap; a frame
    counts the more the farther it is from the ends of its window."""
    spans = windows.context(x_BCTHW.shape[2], length, overlap)
    if len(spans) == 1:
        return predict(x_BCTHW, slice(None))
    total, weights = torch.zeros_like(x_BCTHW, dtype=torch.float32), torch.zeros(x_BCTHW.shape[2])
    for span in spans:
        weight_T, frames = torch.tensor(windows.pyramid(len(span))), slice(span.start, span.stop)
        found = predict(x_BCTHW[:, :, frames], frames).float()
        total[:, :, frames] += found * weight_T.view(1, 1, -1, 1, 1).to(total)
        weights[frames] += weight_T
    return total / weights.view(1, 1, -1, 1, 1).to(total)


def shuffled(drawn_BCTHW: torch.Tensor, length: int, step: int, seed: int) -> torch.Tensor:
    """Noise of a long clip: frames after the first `length` have the noise of frames `length` before them, `step` at a
    time in another order, so that all windows begin alike."""
    out, count = drawn_BCTHW.clone(), drawn_BCTHW.shape[2]
    for first in range(length, count, step):
        from_start = first - length
        order = from_start + noise(seed, f"shuffle/{first}", (step,)).argsort()
        part = out[:, :, first : first + step]
        part.copy_(out[:, :, order[: part.shape[2]].to(out.device)].clone())
    return out
