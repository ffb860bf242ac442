"""Solvers that add noise at every step except the last, which is the prediction."""

from __future__ import annotations

import itertools
import math

import torch

from .solver_run import SolverRun, toward


def euler_ancestral(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """Euler's step to a lower sigma, then noise up to the next one (eta 1)."""
    if after == 0:
        return clean
    down, scale, up = run.down_and_up(sigma, after)
    return toward(x, clean, sigma, down) * scale + up * run.fresh(x)


def ddpm(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """The posterior of DDPM (arXiv 2006.11239, equation 7) for x / sqrt(1 + sigma^2), also for a flow's sigmas: mean
    clean + (sigma' / sigma)^2 (x - clean), variance sigma'^2 (1 - (sigma' / sigma)^2)."""
    if after == 0:
        return clean
    share = after / sigma
    return toward(x, clean, sigma, after * share) + after * math.sqrt(1 - share**2) * run.fresh(x)


def lcm(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, _sigma: float, after: float) -> torch.Tensor:
    """The prediction with new noise (latent consistency models, arXiv 2310.04378)."""
    return clean if after == 0 else run.noised(clean, run.fresh(x), after)


def dpmpp_2m_sde(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """SDE-DPM-Solver++(2M) (arXiv 2211.01095, appendix), eta 1, in its midpoint form."""
    if after == 0:
        return clean
    h = run.log_snr(after) - run.log_snr(sigma)
    found = _mean(run, x, clean, sigma, after, h)
    if run.history:
        back = (run.log_snr(sigma) - run.log_snr(run.sigma_before(1))) / h
        found = found - run.signal(after) * math.expm1(-2 * h) * (clean - run.history[-1]) / (2 * back)
    return found + _spread(after, h) * run.fresh(x)


def dpmpp_3m_sde(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """SDE-DPM-Solver++(3M), as k-diffusion extends the second order: from differences of three predictions, eta 1."""
    if after == 0:
        return clean
    h = run.log_snr(after) - run.log_snr(sigma)
    found = _mean(run, x, clean, sigma, after, h)
    phi_2 = math.expm1(-2 * h) / (2 * h) + 1
    places = [sigma, *(run.sigma_before(back) for back in range(1, min(2, len(run.history)) + 1))]
    backs = [(run.log_snr(later) - run.log_snr(earlier)) / h for later, earlier in itertools.pairwise(places)]
    if backs:
        first = (clean - run.history[-1]) / backs[0]
        if len(backs) == 2:
            second = (run.history[-1] - run.history[-2]) / backs[1]
            curve = (first - second) / sum(backs)
            first = first + curve * backs[0]
            found = found - run.signal(after) * (phi_2 / (2 * h) - 0.5) * curve
        found = found + run.signal(after) * phi_2 * first
    return found + _spread(after, h) * run.fresh(x)


def _mean(
    run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float, h: float
) -> torch.Tensor:  # fmt: skip
    """The first-order step of the stochastic equation (eta 1) without its noise."""
    return x * (after / sigma) * math.exp(-h) - run.signal(after) * math.expm1(-2 * h) * clean


def _spread(after: float, h: float) -> float:
    """The standard deviation of the noise of a step."""
    return after * math.sqrt(-math.expm1(-2 * h))


NUM_POINTS = 200
"""Of the sums that stand for integrals."""


def er_sde(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """ER-SDE-Solver-3 (Cui et al. 2023, arXiv 2309.06169, algorithm 3) with the noise scale u (exp(u^0.3) + 10), in
    u = noise / signal. The integrals are sums of rectangles, as there."""
    if after == 0:
        return clean
    ratios = [math.exp(-run.log_snr(run.sigma_before(back))) for back in range(min(2, len(run.history)), 0, -1)]
    here, then = (math.exp(-run.log_snr(each)) for each in (sigma, after))
    share = _noise_scale(then) / _noise_scale(here)
    found = share * x / run.signal(sigma) + (1 - share) * clean
    if ratios:
        step = (here - then) / NUM_POINTS
        places = [then + index * step for index in range(NUM_POINTS)]
        first = (clean - run.history[-1]) / (here - ratios[-1])
        area = sum(1 / _noise_scale(place) for place in places) * step
        found = found + (then - here + area * _noise_scale(then)) * first
        if len(ratios) == 2:
            older = (run.history[-1] - run.history[-2]) / (ratios[1] - ratios[0])
            second = 2 * (first - older) / (here - ratios[0])
            area = sum((place - here) / _noise_scale(place) for place in places) * step
            found = found + ((then - here) ** 2 / 2 + area * _noise_scale(then)) * second
    spread = math.sqrt(max(0.0, then**2 - (here * share) ** 2))
    return run.signal(after) * (found + spread * run.fresh(x))


def _noise_scale(ratio: float) -> float:
    return ratio * (math.exp(min(ratio**0.3, EXPONENT)) + 10)


EXPONENT = 500.0
"""Above it, exponentials overflow; such ratios do not occur in runs."""
