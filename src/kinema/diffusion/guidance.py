"""Classifier-free guidance, outside of every network.

Ho and Salimans 2022 (arXiv 2207.12598): out = uncond + scale * (cond - uncond). Guidance may be limited to an
interval of the steps (Kynkaanniemi et al. 2024, arXiv 2404.07724): outside it only the prompt's branch is computed.
"""

from __future__ import annotations

import torch

from .steps import is_guided

COND, UNCOND = "cond", "uncond"


def branches(scale: float, step: int, num_steps: int, interval: tuple[float, float]) -> tuple[str, ...]:
    """Which branches step number `step` needs."""
    return (COND, UNCOND) if is_guided(step, num_steps, scale, interval) else (COND,)


def combine(outputs: dict[str, torch.Tensor], scale: float | torch.Tensor) -> torch.Tensor:
    """The guided output of the computed branches; a tensor scales each frame by its own."""
    if UNCOND not in outputs:
        return outputs[COND]
    return outputs[UNCOND] + scale * (outputs[COND] - outputs[UNCOND])
