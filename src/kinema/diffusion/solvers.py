"""Solvers of the sampling equation without new noise: dx / dsigma = (x - denoised) / sigma.

Their last step, to 0, is the prediction.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from .solver_run import SolverRun, toward


def euler(_: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    return toward(x, clean, sigma, after)


def dpmpp_2m(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """DPM-Solver++(2M) (arXiv 2211.01095), algorithm 2; the first step and one to 0 are of first order."""
    if after == 0 or not run.history:
        return toward(x, clean, sigma, after)
    before = run.sigma_before(1)
    ratio = math.log(before / sigma) / math.log(sigma / after)
    return toward(x, clean + (clean - run.history[-1]) / (2 * ratio), sigma, after)


def res_multistep(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """The second-order exponential multistep of RES (arXiv 2308.02157)."""
    if after == 0 or not run.history:
        return toward(x, clean, sigma, after)
    h = math.log(sigma / after)
    back = -math.log(run.sigma_before(1) / sigma) / h
    one = -math.expm1(-h) / h
    two = (1 - one) / h
    return math.exp(-h) * x + h * ((one - two / back) * clean + (two / back) * run.history[-1])


def lms(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """The linear multistep method of fourth order in sigma, for uneven steps: the integral of the polynomial through
    the last derivatives."""
    if after == 0:
        return clean
    places = [sigma, *(run.sigma_before(back) for back in range(1, len(run.history) + 1))]
    for weight, slope in zip(integrals(places, sigma, after), _slopes(run, x, clean, sigma), strict=True):
        x = x + weight * slope
    return x


def integrals(places: list[float], start: float, stop: float) -> list[float]:
    """The integrals from start to stop of Lagrange's basis polynomials of some places."""
    found = []
    for at in places:
        others = [other for other in places if other != at]
        whole = np.polynomial.Polynomial.fromroots(others).integ() if others else np.polynomial.Polynomial([0.0, 1.0])
        found.append(float(whole(stop) - whole(start)) / math.prod(at - other for other in others))
    return found


EVEN = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Adams and Bashforth's weights for even steps, by order."""


def ipndm(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """iPNDM (Zhang and Chen 2022, arXiv 2204.13902): up to fourth order, with the weights of even steps."""
    if after == 0:
        return clean
    slopes = _slopes(run, x, clean, sigma)
    for weight, slope in zip(EVEN[len(slopes) - 1], slopes, strict=True):
        x = x + (after - sigma) * weight * slope
    return x


POINTS, POINT_WEIGHTS = np.polynomial.legendre.leggauss(24)
EPSILON_T, LOWEST, HIGHEST = 1e-3, 0.002, 80.0
_LOW, _HIGH = math.log1p(LOWEST**2), math.log1p(HIGHEST**2)
_RISE = 2 * (_LOW / EPSILON_T - _HIGH) / (EPSILON_T - 1)
_START = _HIGH - _RISE / 2


def deis(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """tAB-DEIS (Zhang and Chen 2022, arXiv 2204.13902) of third order: the integral of the polynomial in time through
    the last derivatives, where time is that of the variance-preserving diffusion (Song et al. 2021) in which sigma is
    LOWEST at EPSILON_T and HIGHEST at 1."""
    if after == 0:
        return clean
    slopes = _slopes(run, x, clean, sigma)[:3]
    times = [float(_time(np.float64(each))) for each in (sigma, *map(run.sigma_before, range(1, len(slopes))))]
    middle, half = (sigma + after) / 2, (after - sigma) / 2
    at = _time(middle + half * POINTS)
    for own, slope in zip(times, slopes, strict=True):
        basis = np.prod([(at - other) / (own - other) for other in times if other != own], axis=0)
        x = x + float((POINT_WEIGHTS * basis).sum() * half) * slope
    return x


def _time(sigma: np.ndarray | np.float64) -> np.ndarray:
    """The time of a noise level: sigma^2 + 1 = exp(_RISE t^2 / 2 + _START t)."""
    found: np.ndarray = (np.sqrt(_START**2 + 2 * _RISE * np.log1p(sigma**2)) - _START) / _RISE
    return found


GAMMA = 2.0


def gradient_estimation(
    run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float
) -> torch.Tensor:  # fmt: skip
    """Gradient estimation (Permenter and Yuan 2023, arXiv 2306.04848, section 5): Euler along a derivative that is
    extrapolated from the one before."""
    if after == 0:
        return clean
    slope, *older = _slopes(run, x, clean, sigma)
    if older:
        slope = GAMMA * slope + (1 - GAMMA) * older[0]
    return x + (after - sigma) * slope


def _slopes(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float) -> list[torch.Tensor]:
    """The derivatives, the newest first."""
    return [(x - clean) / sigma, *reversed(run.history)]
