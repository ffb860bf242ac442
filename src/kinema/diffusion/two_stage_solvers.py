"""Solvers with a second evaluation of the network between two sigmas. A step to 0 has one and is the prediction."""

from __future__ import annotations

import math

import torch

from .prediction import FLOW
from .solver_run import Solver, SolverRun, toward
from .solvers import euler

BELOW_1 = 0.9999
"""In place of a sigma of 1, whose signal is 0."""


def _heun(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """The mean of the slopes at both ends. x: from which the step went; clean: the prediction at its end."""
    reached = toward(x, run.history[-1], sigma, after)
    slope = ((x - run.history[-1]) / sigma + (reached - clean) / after) / 2
    return x + (after - sigma) * slope


def _in_the_middle(_: SolverRun, sigma: float, after: float) -> float:
    return math.sqrt(sigma * after)


def _dpm_2_first(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    return toward(x, clean, sigma, _in_the_middle(run, sigma, after))


def _dpm_2_second(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """Along the slope in the middle."""
    middle = _in_the_middle(run, sigma, after)
    reached = toward(x, run.history[-1], sigma, middle)
    return x + (after - sigma) * (reached - clean) / middle


def _below(run: SolverRun, sigma: float, after: float) -> float:
    return math.sqrt(sigma * run.down_and_up(sigma, after)[0])


def _ancestral_first(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    return toward(x, clean, sigma, _below(run, sigma, after))


def _ancestral_second(
    run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float
) -> torch.Tensor:  # fmt: skip
    """DPM-2's step to a lower sigma, then noise up to the next one (eta 1)."""
    down, scale, up = run.down_and_up(sigma, after)
    middle = _below(run, sigma, after)
    slope = (toward(x, run.history[-1], sigma, middle) - clean) / middle
    return (x + (down - sigma) * slope) * scale + up * run.fresh(x)


def _in_log_snr(run: SolverRun, sigma: float, after: float) -> float:
    """In the middle of the logarithms of the signal-to-noise ratio of a sigma and of the lower end of its step."""
    if run.prediction == FLOW and sigma >= 1:
        return BELOW_1
    down = run.down_and_up(sigma, after)[0]
    return run.at_log_snr((run.log_snr(sigma) + run.log_snr(down)) / 2)


def _2s_first(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    return toward(x, clean, sigma, _in_log_snr(run, sigma, after))


def _2s_second(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """DPM-Solver++(2S) to a lower sigma with the prediction in the middle, then noise up to the next one (eta 1)."""
    down, scale, up = run.down_and_up(sigma, after)
    return toward(x, clean, sigma, down) * scale + up * run.fresh(x)


def _in_noise_ratio(run: SolverRun, sigma: float, after: float) -> float:
    return run.at_log_snr((run.log_snr(sigma) + run.log_snr(after)) / 2)


def _sde_first(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    return _sde(run, x, clean, sigma, _in_noise_ratio(run, sigma, after))


def _sde(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """An ancestral step (eta 1) of x / signal, whose noise level is noise over signal."""
    ratio, below = (math.exp(-run.log_snr(each)) for each in (sigma, after))
    down = below**2 / ratio
    found = toward(x / run.signal(sigma), clean, ratio, down) + math.sqrt(below**2 - down**2) * run.fresh(x)
    return found * run.signal(after)


HEUN = Solver(euler, middle=lambda _run, _sigma, after: after, second=_heun)
"""Karras et al. 2022 (arXiv 2206.00364), algorithm 1."""
DPM_2 = Solver(_dpm_2_first, middle=_in_the_middle, second=_dpm_2_second)
"""Karras et al. 2022, algorithm 3 with alpha 1/2 in the logarithm of sigma: DPM-Solver-2."""
DPM_2_ANCESTRAL = Solver(_ancestral_first, middle=_below, second=_ancestral_second)
DPMPP_2S_ANCESTRAL = Solver(_2s_first, middle=_in_log_snr, second=_2s_second)
"""DPM-Solver++ (arXiv 2211.01095), algorithm 1."""
DPMPP_SDE = Solver(_sde_first, middle=_in_noise_ratio, second=_sde)
"""SDE-DPM-Solver++ with a second evaluation in the middle, as k-diffusion steps it: eta 1, r 1/2."""
