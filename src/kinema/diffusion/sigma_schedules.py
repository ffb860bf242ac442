"""The noise levels that ComfyUI's samplers step through, by the names of its scheduler widget. Plain arithmetic.

A schedule for n steps has n + 1 levels, highest first, the last one 0. It depends on the model's noise levels:

    flow(shift)   flow matching: sigma(t) = shift * t / (1 + (shift - 1) * t) for t = 1/1000 ... 1; time is 1000 t
    edm()         Stable Video Diffusion (Karras et al. 2022, EDM): sigma from 0.002 to 700; time is ln(sigma) / 4
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .incomplete_beta import beta_quantile

NUM_LEVELS = 1000
RHO = 7.0
"""Karras et al. 2022, equation 5."""

ONE_MORE = ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")
"""Samplers whose schedule is made for one step more, and then loses its last level before 0."""


@dataclass(frozen=True, slots=True)
class NoiseScale:
    """The noise levels of a model: NUM_LEVELS of them, ascending, and both directions between sigma and its time."""

    sigmas: tuple[float, ...]
    time_of: Callable[[float], float]
    sigma_of: Callable[[float], float]


def flow(shift: float) -> NoiseScale:
    """Flow matching with a shift (Esser et al. 2024, section 5.3.2). The time of a level is 1000 sigma, as the network
    sees it; a level from a time is shifted again, as ComfyUI's model does."""

    def shifted(t: float) -> float:
        return shift * t / (1 + (shift - 1) * t)

    levels = tuple(shifted(number / NUM_LEVELS) for number in range(1, NUM_LEVELS + 1))
    return NoiseScale(levels, lambda sigma: 1000 * sigma, lambda time: shifted(time / 1000))


def edm(low: float = 0.002, high: float = 700.0) -> NoiseScale:
    """EDM's levels, evenly spaced in the logarithm."""
    first, last = math.log(low), math.log(high)
    levels = tuple(math.exp(first + (last - first) * at / (NUM_LEVELS - 1)) for at in range(NUM_LEVELS))
    return NoiseScale(levels, lambda sigma: 0.25 * math.log(sigma), lambda time: math.exp(4 * time))


def sigmas(
    name: str, scale: NoiseScale, steps: int, *, denoise: float = 1.0, sampler: str = "", start: int = 0,
    end: int | None = None, leftover: bool = False,
) -> list[float]:  # fmt: skip
    """The levels of a run. denoise: below 1, only the last `steps` of int(steps / denoise). start, end: the steps of a
    part of the run, half-open; without `leftover`, a part that ends early goes to 0 in its last step.

    Raises ValueError for an unknown name (legal: SCHEDULES), steps below 1, denoise outside (0, 1].
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule {name!r}. Legal: {', '.join(SCHEDULES)}.")
    if steps < 1 or not 0 < denoise <= 1:
        raise ValueError(f"{steps} steps, denoise {denoise:g}. Legal: at least 1, and over 0 up to 1.")
    made = _made(name, scale, max(steps, int(steps / denoise)), sampler)[-(steps + 1) :]
    if end is not None and end < len(made) - 1:
        made = made[: end + 1]
        if not leftover:
            made[-1] = 0.0
    return made[start:]


def _made(name: str, scale: NoiseScale, steps: int, sampler: str) -> list[float]:
    if sampler not in ONE_MORE:
        return SCHEDULES[name](scale, steps)
    found = SCHEDULES[name](scale, steps + 1)
    return [*found[:-2], found[-1]]


def _simple(scale: NoiseScale, steps: int) -> list[float]:
    return [scale.sigmas[-1 - int(at * NUM_LEVELS / steps)] for at in range(steps)] + [0.0]


def _normal(scale: NoiseScale, steps: int) -> list[float]:
    times = _linspace(scale.time_of(scale.sigmas[-1]), scale.time_of(scale.sigmas[0]), steps)
    return [scale.sigma_of(time) for time in times] + [0.0]


def _sgm_uniform(scale: NoiseScale, steps: int) -> list[float]:
    times = _linspace(scale.time_of(scale.sigmas[-1]), scale.time_of(scale.sigmas[0]), steps + 1)
    return [scale.sigma_of(time) for time in times[:-1]] + [0.0]


def _karras(scale: NoiseScale, steps: int) -> list[float]:
    low, high = scale.sigmas[0] ** (1 / RHO), scale.sigmas[-1] ** (1 / RHO)
    return [root**RHO for root in _linspace(high, low, steps)] + [0.0]


def _exponential(scale: NoiseScale, steps: int) -> list[float]:
    logs = _linspace(math.log(scale.sigmas[-1]), math.log(scale.sigmas[0]), steps)
    return [math.exp(each) for each in logs] + [0.0]


def _beta(scale: NoiseScale, steps: int) -> list[float]:
    """Lee et al. 2024, "Beta Sampling is All You Need", with alpha = beta = 0.6; levels that round to the same one
    occur once, so the run may have fewer steps."""
    places = (round(beta_quantile(1 - at / steps, 0.6, 0.6) * (NUM_LEVELS - 1)) for at in range(steps))
    return [scale.sigmas[place] for place in dict.fromkeys(places)] + [0.0]


def _linear_quadratic(scale: NoiseScale, steps: int) -> list[float]:
    """Mochi's schedule: the first half of the steps falls linearly by 0.025, the rest quadratically to 0."""
    threshold, half = 0.025, steps // 2
    if steps == 1:
        return [scale.sigmas[-1], 0.0]
    excess, rest = half - threshold * steps, steps - half
    square = excess / (half * rest**2)
    slope = threshold / half - 2 * excess / rest**2
    falls = [threshold * at / half for at in range(half)]
    falls += [square * at**2 + slope * at + square * half**2 for at in range(half, steps)]
    return [scale.sigmas[-1] * (1 - fall) for fall in falls] + [0.0]


def _linspace(first: float, last: float, count: int) -> list[float]:
    """As numpy's: the first alone for a count of 1."""
    return [first + (last - first) * at / max(1, count - 1) for at in range(count)]


SCHEDULES: dict[str, Callable[[NoiseScale, int], list[float]]] = {
    "simple": _simple, "normal": _normal, "sgm_uniform": _sgm_uniform, "karras": _karras, "exponential": _exponential,
    "beta": _beta, "linear_quadratic": _linear_quadratic,
}  # fmt: skip
