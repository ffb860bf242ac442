"""Blocks whose tokens are at two times: latent frames that are known at time 0, the others at the step's time.

Wan 2.2 TI2V-5B takes a time for each token, so that a clip can start from a clean picture. Only two times ever occur:
their modulations are computed once and applied to the places of the tokens, which equals a modulation per token but
needs no tensor of (tokens, 6, width). Suffixes: core/shapes.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch


@dataclass(frozen=True)
class TwoTimes:
    """Modulations at the step's time and at time 0. times_2ND: (2, n, D), that of the step first. known: the places of
    the tokens at time 0."""

    times_2ND: torch.Tensor
    known: slice

    def plus(self, table_1ND: torch.Tensor) -> TwoTimes:
        """A learned table added to both, in float32."""
        return TwoTimes(table_1ND + self.times_2ND.float(), self.known)

    def scaled(self, x_BLD: torch.Tensor, shift: int, scale: int) -> torch.Tensor:
        """x * (1 + scale) + shift with the numbered rows. Changes x."""
        for places, time in self._runs(x_BLD.shape[1]):
            x_BLD[:, places].mul_(1 + self.times_2ND[time, scale]).add_(self.times_2ND[time, shift])
        return x_BLD

    def added(self, x_BLD: torch.Tensor, more_BLD: torch.Tensor, gate: int) -> torch.Tensor:
        """x + more * gate in float32, with the numbered row."""
        x_BLD = x_BLD.float().clone()
        for places, time in self._runs(x_BLD.shape[1]):
            x_BLD[:, places] += more_BLD[:, places] * self.times_2ND[time, gate]
        return x_BLD

    def _runs(self, length: int) -> Iterator[tuple[slice, int]]:
        start, stop, _ = self.known.indices(length)
        for places, time in ((slice(0, start), 0), (slice(start, stop), 1), (slice(stop, length), 0)):
            if places.stop > places.start:
                yield places, time


def prepare(model: Any) -> None:
    """Make the blocks of a transformer accept `TwoTimes` in place of a modulation. Other calls are unchanged."""
    for block in model.blocks:
        block.forward = MethodType(_block, block)


def _block(block: Any, x_BLD: torch.Tensor, text: Any, modulation: Any, rope: Any) -> torch.Tensor:
    if not isinstance(modulation, TwoTimes):
        return type(block).forward(block, x_BLD, text, modulation, rope)
    times = modulation.plus(block.scale_shift_table)  # shift, scale and gate of attention, then of the feed-forward
    wide = times.scaled(block.norm1(x_BLD.float()), 0, 1).type_as(x_BLD)
    x_BLD = times.added(x_BLD, block.attn1(wide, None, None, rope), 2).type_as(x_BLD)
    x_BLD = x_BLD + block.attn2(block.norm2(x_BLD.float()).type_as(x_BLD), text, None, None)
    wide = times.scaled(block.norm3(x_BLD.float()), 3, 4).type_as(x_BLD)
    return times.added(x_BLD, block.ffn(wide).float(), 5).type_as(x_BLD)
