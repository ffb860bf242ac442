"""The discrete noise schedule at sampling time: one scheduler per request, and the clean latents that a step predicts.

In the variance-preserving form x = a * clean + s * noise with a^2 + s^2 = 1; in Karras' form x = clean + sigma * noise,
sigma = s / a. diffusers' Euler and Heun schedulers use the second form, DDIM and DPM-Solver the first.
"""

from __future__ import annotations

from typing import Any

import torch


def scheduler_of(pattern: Any, steps: int, device: torch.device) -> Any:
    """Create a scheduler of the checkpoint's class for one request, with its timesteps set."""
    scheduler = type(pattern).from_config(pattern.config)
    scheduler.set_timesteps(steps, device=device)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    return scheduler


def denoised(x: torch.Tensor, output: torch.Tensor, sigma: float, pattern: Any) -> torch.Tensor:
    """The clean latents predicted by an output at noise level sigma. pattern: any scheduler of the class in use."""
    a = (sigma**2 + 1) ** -0.5
    s = (1 - a * a) ** 0.5
    if type(pattern).__name__.startswith(("Euler", "Heun", "LMS", "KDPM2")):
        x = x * a
    if pattern.config.prediction_type == "v_prediction":
        return a * x - s * output
    if pattern.config.prediction_type == "sample":
        return output
    return (x - s * output) / a
