"""FreeInit (Wu et al. 2023, arXiv 2312.07537): repeated sampling passes, each with better initial noise.

In training, the noisiest latents still contain some of the clip, mainly its low frequencies; random noise does not. So
the finished latents are noised again with the noise of their pass; the low frequencies of the result in time and space
are kept, and the high ones are replaced by new noise.
"""

from __future__ import annotations

from typing import Any

import torch

from . import scheduling
from .latents import Latents, each, of_parts, parts

ORDER, SPACE_STOP, TIME_STOP = 4, 0.25, 0.25
"""Order of the Butterworth filter, and its cutoff frequencies (1 is the Nyquist frequency)."""


def reinitialized(scheduler: Any, finished: Latents, drawn: Latents, fresh: Latents, first: int) -> Any:
    """Initial latents of the next pass, at step `first`. finished: the result of the last pass; drawn: the initial
    noise of the first pass; fresh: new noise of the same shape.

    If passes start at a later step (`strength`), the filter mixes the noise only: latents at that level still contain
    high frequencies of the clip. Models whose noisiest latents are pure noise (flow matching) keep the low frequencies
    of the first noise.
    """
    schedulers = scheduling.by_name(scheduler)

    def part(name: str, finished: torch.Tensor, drawn: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
        clean, one = finished.float(), schedulers[name]
        drawn = drawn.to(finished)
        fresh = fresh.to(drawn)
        if first:
            return scheduling.noised(one, clean, renewed(drawn, fresh), first)
        return renewed(scheduling.noised(one, clean, drawn, 0), scheduling.begin(one, fresh))

    names = {name: name for name in parts(finished)}
    return each(part, of_parts(names), finished, drawn, fresh)


def low_pass(frames: int, *sides: int) -> torch.Tensor:
    """The filter (T, h, w), or (T,), with frequency 0 in the middle: 1 / (1 + (distance^2 / SPACE_STOP^2) ^ ORDER);
    distances along time are scaled by SPACE_STOP / TIME_STOP."""
    t, *others = (2 * torch.arange(count) / count - 1 for count in (frames, *sides))
    away = (SPACE_STOP / TIME_STOP * t.view(-1, *(1 for _ in sides))) ** 2
    for number, side in enumerate(others, start=1):
        away = away + side.view(-1, *(1 for _ in sides[number:])) ** 2
    return 1 / (1 + (away / SPACE_STOP**2) ** ORDER)


def renewed(noisy_BCT: torch.Tensor, fresh_BCT: torch.Tensor) -> torch.Tensor:
    """The low frequencies of the first noise plus the high ones of the second, (1, C, T, H, W) or (1, C, T)."""
    dims = tuple(range(2, noisy_BCT.ndim))
    low = low_pass(*noisy_BCT.shape[2:]).to(noisy_BCT.device)

    def spectrum(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.fftshift(torch.fft.fftn(x.float(), dim=dims), dim=dims)

    both = spectrum(noisy_BCT) * low + spectrum(fresh_BCT) * (1 - low)
    return torch.fft.ifftn(torch.fft.ifftshift(both, dim=dims), dim=dims).real
