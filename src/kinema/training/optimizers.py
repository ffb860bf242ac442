"""AdamW in the form that suits the machine: fused on CUDA, or with its state in 8 bits (Dettmers et al. 2022, arXiv
2110.02861; bitsandbytes) where memory is short."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

KINDS = ("adamw", "adamw8bit")
BETAS = (0.9, 0.98)


def why_not(kind: str) -> str | None:
    """Why an optimiser cannot be had here, or None."""
    if kind not in KINDS:
        return f"optimizer is one of {', '.join(KINDS)}, not {kind!r}."
    if kind == "adamw8bit" and importlib.util.find_spec("bitsandbytes") is None:
        return "adamw8bit needs bitsandbytes, which is not installed: pip install bitsandbytes."
    return None


def adam(params: Sequence[Tensor], *, kind: str = "adamw", lr: float, device: str) -> torch.optim.Optimizer:
    """AdamW without weight decay. adamw8bit keeps two bytes of state for a parameter instead of eight; tensors of fewer
    than 4,096 numbers stay in float32 there."""
    if reason := why_not(kind):
        raise ValueError(reason)
    if kind == "adamw8bit":
        import bitsandbytes

        made: Any = bitsandbytes.optim.AdamW8bit(params, lr=lr, betas=BETAS, weight_decay=0.0)
        return made
    return torch.optim.AdamW(params, lr=lr, betas=BETAS, weight_decay=0.0, fused=device.startswith("cuda"))
