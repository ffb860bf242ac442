"""Noise levels of a run, by the names under which k-diffusion and ComfyUI know them.

A schedule is a list of floats that falls from the model's highest sigma to 0: one more than there are steps. Sources:
Karras et al. 2022 (arXiv 2206.00364), equation 5 (`karras`); Lee et al. 2024 (arXiv 2407.12173) (`beta`); the appendix
of "Align Your Steps" (arXiv 2404.14507) (`kl_optimal`); Genmo's Mochi 1 (`linear_quadratic`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from ..core.errors import RequestError
from .incomplete_beta import beta_quantile

TRAINED = 1000
"""Number of training timesteps."""
Sigmas = list[float]


@dataclass(frozen=True)
class SigmaTable:
    """The noise levels of a model. sigma: of a timestep; timestep: of a sigma, as the schedules count (the network may
    count otherwise). ascending: the sigmas of all training timesteps."""

    sigma: Callable[[float], float]
    timestep: Callable[[float], float]
    ascending: tuple[float, ...]
    is_flow: bool = False

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The highest and the lowest sigma."""
        return self.ascending[-1], self.ascending[0]


def flow_levels(shift: float) -> SigmaTable:
    """Flow matching with a timestep shift: sigma(t) = shift t / (1 + (shift - 1) t), t = 1/1000 ... 1."""

    def shifted(share: float) -> float:
        return shift * share / (1 + (shift - 1) * share)

    table = tuple(shifted((index + 1) / TRAINED) for index in range(TRAINED))
    return SigmaTable(lambda t: shifted(t / TRAINED), lambda sigma: TRAINED * sigma, table, is_flow=True)


def edm_levels(sigma_min: float, sigma_max: float) -> SigmaTable:
    """Log-spaced sigmas whose timesteps are ln(sigma) / 4 (Stable Video Diffusion: 0.002 to 700)."""
    low, high = math.log(sigma_min), math.log(sigma_max)
    table = tuple(math.exp(low + (high - low) * index / (TRAINED - 1)) for index in range(TRAINED))
    return SigmaTable(lambda t: math.exp(4 * t), lambda sigma: math.log(sigma) / 4, table)


def _linear(start: float, stop: float, count: int) -> list[float]:
    return [start + (stop - start) * index / max(1, count - 1) for index in range(count)]


def simple(levels: SigmaTable, steps: int) -> Sigmas:
    table = levels.ascending
    return [table[-1 - int(index * len(table) / steps)] for index in range(steps)] + [0.0]


def normal(levels: SigmaTable, steps: int) -> Sigmas:
    """Evenly spaced timesteps, both ends included."""
    start, stop = (levels.timestep(end) for end in levels.ends)
    return [levels.sigma(t) for t in _linear(start, stop, steps)] + [0.0]


def sgm_uniform(levels: SigmaTable, steps: int) -> Sigmas:
    """Evenly spaced timesteps, without the lowest."""
    start, stop = (levels.timestep(end) for end in levels.ends)
    return [levels.sigma(t) for t in _linear(start, stop, steps + 1)[:-1]] + [0.0]


def karras(levels: SigmaTable, steps: int, rho: float = 7.0) -> Sigmas:
    high, low = (end ** (1 / rho) for end in levels.ends)
    return [root**rho for root in _linear(high, low, steps)] + [0.0]


def exponential(levels: SigmaTable, steps: int) -> Sigmas:
    high, low = map(math.log, levels.ends)
    return [math.exp(log) for log in _linear(high, low, steps)] + [0.0]


def beta(levels: SigmaTable, steps: int, alpha: float = 0.6, other: float = 0.6) -> Sigmas:
    """Quantiles of a beta distribution of timesteps; those that round to the same one count once."""
    last = len(levels.ascending) - 1
    places = [round(beta_quantile(1 - index / steps, alpha, other) * last) for index in range(steps)]
    return [levels.ascending[place] for place in dict.fromkeys(places)] + [0.0]


def ddim_uniform(levels: SigmaTable, steps: int) -> Sigmas:
    """Every n-th training timestep; may have more steps than asked for."""
    stride = max(1, len(levels.ascending) // steps)
    return [*reversed(levels.ascending[1::stride]), 0.0]


def kl_optimal(levels: SigmaTable, steps: int) -> Sigmas:
    high, low = map(math.atan, levels.ends)
    return [math.tan(angle) for angle in _linear(high, low, steps)] + [0.0]


def linear_quadratic(levels: SigmaTable, steps: int, threshold: float = 0.025) -> Sigmas:
    """The first half of the steps cover `threshold` linearly, the others the rest quadratically."""
    high = levels.ends[0]
    if steps == 1:
        return [high, 0.0]
    linear = steps // 2
    rest = steps - linear
    gap = linear - threshold * steps
    curve, slope = gap / (linear * rest**2), threshold / linear - 2 * gap / rest**2
    covered = [index * threshold / linear for index in range(linear)]
    covered += [curve * index**2 + slope * index + curve * linear**2 for index in range(linear, steps)]
    return [high * (1 - share) for share in [*covered, 1.0]]


SCHEDULES: dict[str, Callable[[SigmaTable, int], Sigmas]] = {
    "simple": simple, "normal": normal, "sgm_uniform": sgm_uniform, "karras": karras, "exponential": exponential,
    "beta": beta, "ddim_uniform": ddim_uniform, "kl_optimal": kl_optimal, "linear_quadratic": linear_quadratic,
}  # fmt: skip
WITHOUT_PENULTIMATE = ("uni_pc", "uni_pc_bh2", "dpm_2", "dpm_2_ancestral")
"""Samplers whose schedule is made for one step more and loses its last sigma above 0."""


def sigmas_of(schedule: str, levels: SigmaTable, steps: int, sampler: str = "euler") -> Sigmas:
    """The sigmas of a run with a sampler. RequestError for an unknown schedule."""
    if schedule not in SCHEDULES:
        raise RequestError(f"schedule = {schedule!r}.", field="schedule", value=schedule, legal=", ".join(SCHEDULES))
    if sampler in WITHOUT_PENULTIMATE:
        found = SCHEDULES[schedule](levels, steps + 1)
        return [*found[:-2], found[-1]]
    return SCHEDULES[schedule](levels, steps)


def of_the_end(schedule: str, levels: SigmaTable, steps: int, share: float, sampler: str = "euler") -> Sigmas:
    """The sigmas of the last `steps` steps of a schedule of which they are the share (`denoise`): a run on a source."""
    if share >= 0.9999:
        return sigmas_of(schedule, levels, steps, sampler)
    if share <= 0:
        return []
    return sigmas_of(schedule, levels, int(steps / share), sampler)[-(steps + 1) :]


def between(sigmas: Sigmas, first: int, end: int, *, leftover: bool) -> Sigmas:
    """The sigmas of the steps first to end, half-open. leftover: of a part that ends early, keep the remaining noise
    for the next part; otherwise its last step removes it. Empty: no step is left."""
    found = sigmas[: end + 1]
    if end < len(sigmas) - 1 and not leftover:
        found = [*found[:-1], 0.0]
    return found[first:] if first < len(found) - 1 else []
