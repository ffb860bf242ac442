"""Flow matching at sampling time: x = (1 - sigma) * clean + sigma * noise; the network predicts noise - clean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def denoised(x: torch.Tensor, output: torch.Tensor, sigma: float) -> torch.Tensor:
    """The clean latents predicted at noise level sigma: x - sigma * output, float32."""
    return x.float() - sigma * output.float()


def euler(sigmas: Sequence[float], device: torch.device) -> Any:
    """diffusers' Euler scheduler, with one step from each sigma to the next and from the last to 0; the timesteps are
    the sigmas times 1000, unrounded."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler: Any = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=1.0)
    scheduler.set_timesteps(sigmas=list(sigmas), device=device)
    scheduler.set_begin_index(0)
    return scheduler
