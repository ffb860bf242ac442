"""Frames between two frames by a FILM network: uint8 in, uint8 out."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...weights.device import default_device
from ...weights.residency import Residency
from .network import FilmNetwork

DEEPEST = 4
"""Recursion depth of a network that predicts only the middle; times are rounded to sixteenths of the interval."""
STILL, MOVED = 5.0, 12.0
"""Levels of 255: maximum difference without motion, and minimum difference of certain motion."""
AROUND = 11
"""Side in px of the square in which differences are compared."""


class FilmBetween:
    """Interpolates frames. A network for any time is evaluated at each. One for the middle only is applied recursively,
    as published, with times rounded to the nearest of 2 ** DEEPEST steps."""

    def __init__(self, network: FilmNetwork, device: str | torch.device | None = None) -> None:
        self.network = network
        self.residency = Residency(torch.device(device) if device is not None else default_device(), [network])

    def __call__(self, first_HWC: np.ndarray, second_HWC: np.ndarray, times: Sequence[Fraction]) -> list[np.ndarray]:
        """The frames at these times, each above 0 and below 1."""
        height, width = first_HWC.shape[:2]
        with torch.inference_mode():
            first, second = self._tensor(first_HWC), self._tensor(second_HWC)
            if self.network.config.middle:
                frames = [self._at(first, second, float(time)) for time in times]
            else:
                frames = self._halving((first, second), [nearest_step(time) for time in times])
            change = _changed(first, second)
            still = [(torch.lerp(first, second, float(time)), frame) for time, frame in zip(times, frames, strict=True)]
            return [_bytes(torch.lerp(mix, frame, change), height, width) for mix, frame in still]

    def _at(self, first_BCHW: Tensor, second_BCHW: Tensor, time: float) -> Tensor:
        with self.residency.using(self.network) as network:
            found: Tensor = network(first_BCHW, second_BCHW, first_BCHW.new_full((len(first_BCHW),), time))
            return found.clamp(0, 1)

    def _halving(self, ends: Sequence[Tensor], times: Sequence[Fraction]) -> list[Tensor]:
        known = {Fraction(0): ends[0], Fraction(1): ends[1]}
        for time in times:
            low, high = Fraction(0), Fraction(1)
            while time not in known:
                middle = (low + high) / 2
                if middle not in known:
                    known[middle] = self._at(known[low], known[high], 0.5)
                low, high = (middle, high) if time > middle else (low, middle)
        return [known[time] for time in times]

    def _tensor(self, frame_HWC: np.ndarray) -> Tensor:
        """(1, 3, H, W) in [0, 1], padded to legal sides by repeating the border."""
        height, width = frame_HWC.shape[:2]
        whole = self.network.config.multiple
        x = torch.from_numpy(np.ascontiguousarray(frame_HWC)).to(self.residency.device).permute(2, 0, 1)[None]
        return F.pad(x.float().div_(255), (0, -width % whole, 0, -height % whole), mode="replicate")


def _changed(first_BCHW: Tensor, second_BCHW: Tensor) -> Tensor:
    """0 where both frames are equal in the neighbourhood, 1 where they differ. Without motion a mix of both is better
    than the network's output."""
    most = (first_BCHW - second_BCHW).abs().amax(1, keepdim=True)
    around = F.max_pool2d(most, AROUND, 1, AROUND // 2)
    return ((around * 255 - STILL) / (MOVED - STILL)).clamp(0, 1)


def nearest_step(time: Fraction) -> Fraction:
    """The time rounded to a multiple of 1 / 2 ** DEEPEST, strictly between 0 and 1."""
    steps = 2**DEEPEST
    return min(max(Fraction(round(time * steps), steps), Fraction(1, steps)), Fraction(steps - 1, steps))


def _bytes(frame_BCHW: Tensor, height: int, width: int) -> np.ndarray:
    whole = frame_BCHW[0, :, :height, :width].mul(255).round().to(torch.uint8)
    found: np.ndarray = whole.permute(1, 2, 0).contiguous().cpu().numpy()
    return found
