"""Flow matching (Lipman et al. 2023; the rectified-flow form of Esser et al. 2024): training targets for
x_t = (1 - t) x0 + t noise, and integration of a flow between any two positions, for few-step distillation.

A flow integrates dx/dsigma = v(x, sigma, cond), sigma from 1 (pure noise) to 0 (data). Steps are uniform in the
position u in [0, 1], to which the shift s is applied (Esser et al. 2024, equation 23): sigma = s u / (1 + (s - 1) u).
Shapes: B batch; integrated latents are (B, ...) of any rank, sigmas and positions (B,).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...diffusion import guidance
from ...diffusion.guidance import COND, UNCOND

Velocity = Callable[[Tensor, Tensor, Any], Tensor]
"""(x (B, ...), sigma (B,), cond) -> velocity (B, ...), noise minus data. Any network, any kind of condition."""


def noise_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal noise on x's device, seeded by the (CPU) generator."""
    if x.device.type != "cpu":
        seed = int(torch.randint(1 << 62, (), generator=generator))
        generator = torch.Generator(x.device).manual_seed(seed)
    return torch.randn(x.shape, generator=generator, device=x.device)


def draw_times(batch: int, mean: float, generator: torch.Generator, std: float = 1.1, uniform: float = 0.1) -> Tensor:
    """Draw times (B,) in (0, 1): logit-normal around sigmoid(mean), a share of them uniform. Larger is noisier."""
    normal = torch.sigmoid(torch.randn(batch, generator=generator) * std + mean)
    flat = torch.rand(batch, generator=generator)
    times = torch.where(torch.rand(batch, generator=generator) < uniform, flat, normal)
    return times.clamp(1e-3, 1 - 1e-4)


def mix(x0_BCTHW: Tensor, noise_BCTHW: Tensor, times_B: Tensor) -> tuple[Tensor, Tensor]:
    """(x_t, target): the noisy latents and the velocity, noise - x0."""
    t = times_B.view(-1, 1, 1, 1, 1).to(x0_BCTHW)
    return (1 - t) * x0_BCTHW + t * noise_BCTHW, noise_BCTHW - x0_BCTHW


def weighted_error(predicted_BCTHW: Tensor, target_BCTHW: Tensor, weight_BTHW: Tensor) -> Tensor:
    """Mean squared error with weights per latent cell, normalized to mean 1."""
    weight = (weight_BTHW / weight_BTHW.mean())[:, None]
    return (weight * (predicted_BCTHW.float() - target_BCTHW.float()).square()).mean()


def apply_shift(u: Tensor, shift: float) -> Tensor:
    """Map positions in [0, 1] to sigmas; 0 and 1 are exact fixed points."""
    return shift * u / (1 + (shift - 1) * u)


def sigmas(num_steps: int, shift: float) -> Tensor:
    """The sigmas of num_steps steps, (num_steps + 1,) float32, from exactly 1 to exactly 0."""
    if num_steps < 1 or shift <= 0:
        raise ValueError(f"num_steps must be 1 or more and shift above 0, got {num_steps} and {shift}")
    return apply_shift(torch.linspace(1, 0, num_steps + 1, dtype=torch.float64), shift).float()


def like(values_B: Tensor, x: Tensor) -> Tensor:
    """Reshape (B,) to (B, 1, ...), broadcastable against x."""
    return values_B.to(x).view(-1, *(1,) * (x.ndim - 1))


def integrate(
    velocity: Velocity, x: Tensor, start_B: Tensor, stop_B: Tensor, cond: Any, *,
    num_steps: int, shift: float, heun: bool = False,
) -> Tensor:  # fmt: skip
    """Integrate x from position start_B to stop_B (u, not sigma) in equal Euler steps, or Heun steps (two calls per
    step; a step that ends at 0 is Euler, since velocities at 0 are not trained)."""
    at = [start_B + (stop_B - start_B) * (k / num_steps) for k in range(num_steps)] + [stop_B]
    for u_now, u_next in pairwise(at):
        now, after = apply_shift(u_now, shift), apply_shift(u_next, shift)
        v = velocity(x, now, cond)
        moved = x + like(after - now, x) * v
        if heun and bool((after > 0).all()):
            moved = x + like(after - now, x) * (v + velocity(moved, after, cond)) / 2
        x = moved
    return x


@torch.no_grad()
def sample(velocity: Velocity, noise: Tensor, cond: Any, num_steps: int, shift: float, heun: bool = False) -> Tensor:
    """Sample latents from noise in num_steps steps over `sigmas(num_steps, shift)`, as a student is used."""
    one = torch.ones(len(noise), dtype=torch.float64)
    return integrate(velocity, noise, one, one * 0, cond, num_steps=num_steps, shift=shift, heun=heun)


def guided(velocity: Velocity, scale: float) -> Velocity:
    """Classifier-free guidance (Ho and Salimans 2022) as one velocity whose condition is the pair (cond, uncond)."""

    def run(x: Tensor, sigma_B: Tensor, pair: Any) -> Tensor:
        cond, uncond = pair
        if scale == 1:
            return velocity(x, sigma_B, cond)
        return guidance.guided({UNCOND: velocity(x, sigma_B, uncond), COND: velocity(x, sigma_B, cond)}, scale)

    return run
