"""A weight as its file stores it.

Legend: N rows (output features), K columns (input features).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

CHUNK = 2**24
"""Values that are widened at once: float32 copies stay below 64 MB, however large the weight is."""


class Code(Protocol):
    """How bytes become values."""

    def widen(self, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Some rows of a weight, floating point (rows, K), from their parts."""


@dataclass(frozen=True, eq=False)
class Stored:
    """shape: (N, K). parts: tensors by name, those with N rows cut like the weight; `dtypes` of parts that are kept as
    bytes, so that a change of a network's precision leaves them alone."""

    shape: tuple[int, int]
    code: Code
    parts: dict[str, torch.Tensor]
    dtypes: dict[str, torch.dtype]

    @classmethod
    def of(cls, shape: tuple[int, ...], code: Code, **parts: torch.Tensor) -> Stored:
        rows, columns = shape
        plain = {name: part.contiguous().view(torch.uint8) for name, part in parts.items()}
        return cls((rows, columns), code, plain, {name: part.dtype for name, part in parts.items()})

    @property
    def num_bytes(self) -> int:
        return sum(part.numel() for part in self.parts.values())

    def widened(self, dtype: torch.dtype) -> torch.Tensor:
        """The whole weight in `dtype`."""
        return widened(self, self.parts, dtype)


def widened(stored: Stored, parts: Mapping[str, torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """The weight (N, K) in `dtype`, from parts that may have moved to another device, a few rows at a time."""
    rows, columns = stored.shape
    typed = {name: part.view(stored.dtypes[name]) for name, part in parts.items()}
    some = max(1, CHUNK // columns)
    if rows <= some:
        return stored.code.widen(typed).to(dtype)
    found = torch.empty(rows, columns, dtype=dtype, device=next(iter(parts.values())).device)
    for start in range(0, rows, some):
        found[start : start + some] = stored.code.widen(cut(typed, rows, slice(start, start + some)))
    return found


def cut(parts: Mapping[str, torch.Tensor], rows: int, place: slice | torch.Tensor) -> dict[str, torch.Tensor]:
    """The parts of some rows of a weight; what belongs to all rows is kept."""
    return {name: part[place] if part.ndim and part.shape[0] == rows else part for name, part in parts.items()}
