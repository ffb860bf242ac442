"""FreeInit (Wu et al. 2023, arXiv 2312.07537): a finished clip gives the next try a better beginning.

Noise that a model begins with in training still holds a little of the clip, above all its slow and coarse parts; noise
out of a generator does not. So the finished latents are taken back to full noise with the noise that they came from,
and their low frequencies in time and space are kept, with new noise for the high ones.
"""

from __future__ import annotations

from typing import Any

import torch

from . import scheduling
from .latents import Latents, each, of_parts, parts

ORDER, SPACE_STOP, TIME_STOP = 4, 0.25, 0.25
"""A Butterworth filter's order, and the frequencies (1 is the highest there is) at which it lets half through."""


def again(scheduler: Any, finished: Latents, drawn: Latents, fresh: Latents, first: int) -> Any:
    """Latents that the next try begins step `first` with. finished: what the last try made; drawn: the noise that the
    first one began with; fresh: new noise of its shape.

    A try that begins part of the way begins there again, with noise whose low frequencies stay: latents at that level
    still hold high frequencies of the clip. Models whose noisiest latents are noise alone (flow matching) keep the low
    frequencies of the first noise.
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
    """(T, h, w), or of time alone, the middle being frequency 0: 1 / (1 + (distance^2 / SPACE_STOP^2) ^ ORDER),
    distances along time being stretched by SPACE_STOP / TIME_STOP."""
    t, *others = (2 * torch.arange(count) / count - 1 for count in (frames, *sides))
    away = (SPACE_STOP / TIME_STOP * t.view(-1, *(1 for _ in sides))) ** 2
    for number, side in enumerate(others, start=1):
        away = away + side.view(-1, *(1 for _ in sides[number:])) ** 2
    return 1 / (1 + (away / SPACE_STOP**2) ** ORDER)


def renewed(noisy_BCT: torch.Tensor, fresh_BCT: torch.Tensor) -> torch.Tensor:
    """The low frequencies of one noise and the high ones of another, (1, C, T, H, W) or (1, C, T)."""
    dims = tuple(range(2, noisy_BCT.ndim))
    low = low_pass(*noisy_BCT.shape[2:]).to(noisy_BCT.device)

    def spectrum(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.fftshift(torch.fft.fftn(x.float(), dim=dims), dim=dims)

    both = spectrum(noisy_BCT) * low + spectrum(fresh_BCT) * (1 - low)
    return torch.fft.ifftn(torch.fft.ifftshift(both, dim=dims), dim=dims).real
