"""UniPC: a predictor and corrector of higher order that needs one evaluation a step."""

from __future__ import annotations

import math

import torch

from .solver_run import SolverRun, toward


def uni_pc(run: SolverRun, x: torch.Tensor, clean: torch.Tensor, sigma: float, after: float) -> torch.Tensor:
    """UniPC (arXiv 2302.04867), third order, data prediction, with its corrector, in the form x / signal with half log
    signal-to-noise ratio -ln(sigma); the last steps are of lower order. B(h) = h, or expm1(h) for `uni_pc_bh2`."""
    steps = len(run.sigmas) - 1
    most = min(3, max(1, steps - 1))
    if run.index > 0:
        assert run.start_x is not None
        order = min(most, run.index, steps - run.index + 1)
        x = _uni_step(run, run.start_x, run.history[-order:], run.index - 1, sigma, clean)
    run.start_x = x
    order = min(most, run.index + 1, steps - run.index)
    return _uni_step(run, x, [*run.history, clean][-order:], run.index, after, None)


def _uni_step(
    run: SolverRun, x: torch.Tensor, known: list[torch.Tensor], at: int, after: float, there: torch.Tensor | None
) -> torch.Tensor:  # fmt: skip
    """One step of UniPC from sigma number `at`. known: the predictions up to there, of the order's number. there: the
    prediction after the step, for the corrector."""
    sigma, now = float(run.sigmas[at]), known[-1]
    h = math.log(sigma / after)
    ratios, slopes = [], []
    for back, older in enumerate(reversed(known[:-1]), start=1):
        ratio = math.log(sigma / float(run.sigmas[at - back])) / h
        ratios.append(ratio)
        slopes.append((older - now) / ratio)
    found = toward(x, now, sigma, after)
    bounded = -h if run.name == "uni_pc" else math.expm1(-h)
    if there is not None:
        ratios, slopes = [*ratios, 1.0], [*slopes, there - now]
    # One slope has half a weight: in the predictor of order 2 and the corrector of order 1.
    weights = [0.5] if len(slopes) == 1 else _uni_weights(ratios, h, bounded)
    for weight, slope in zip(weights, slopes, strict=True):
        found = found - bounded * weight * slope
    return found


def _uni_weights(ratios: list[float], h: float, bounded: float) -> list[float]:
    """The weights of the slopes, equation 9. bounded: B(h)."""
    if not ratios:
        return []
    rows, right = [], []
    phi, factorial = math.expm1(-h) / -h - 1, 1.0
    for power in range(len(ratios)):
        rows.append([ratio**power for ratio in ratios])
        right.append(phi * factorial / bounded)
        factorial *= power + 2
        phi = phi / -h - 1 / factorial
    matrix, values = torch.tensor(rows, dtype=torch.float64), torch.tensor(right, dtype=torch.float64)
    found: list[float] = torch.linalg.solve(matrix, values).tolist()
    return found
