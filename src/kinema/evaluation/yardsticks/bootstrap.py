"""Intervals of figures by resampling clips, and whether the difference of two sets is real. The seed is fixed: the same
rows give the same interval.

A statistic is a function of indices of clips, so that features are stacked once and not at every draw.

Sources: percentile intervals widened for few samples: Hesterberg, "What teachers should know about the bootstrap",
2015, section 4.2.3 (arXiv 1411.5279). Tests by exchanging labels: Phipson and Smyth, "Permutation p-values should
never be zero", 2010, equation 2; fewer exchanges where the p value is large: Besag and Clifford, "Sequential Monte
Carlo p-values", 1991.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

LEVEL = 0.95
DRAWS = 2000
DRAWS_OF_SETS = 200
"""Draws where a statistic takes milliseconds, such as the Frechet distance."""
EXCHANGES = 1000
"""Exchanges of sets for a p value, at most."""
ENOUGH = 20
"""Exchanges that differ as much as the sets, after which no more are made: the p value is then known to be large."""
EXACT = 12
"""Pairs up to this number are exchanged in every way."""

Statistic = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Difference:
    """A figure of set A minus that of set B. low, high: 95 % interval. p: of the hypothesis that the sets are
    exchangeable. num_pairs: 0 if the clips were not paired."""

    value: float
    low: float
    high: float
    p: float
    num_pairs: int
    draws: int

    @property
    def is_real(self) -> bool:
        return self.p < 1.0 - LEVEL

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "real": self.is_real}


def mean_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """95 % interval of the mean of the finite values; None for fewer than two."""
    x = _finite(values)
    if len(x) < 2:
        return None
    return _quantiles(x[_picks(len(x), DRAWS, _generator())].mean(1), len(x))


def interval(value: float, statistic: Statistic, num: int, draws: int = DRAWS_OF_SETS) -> tuple[float, float] | None:
    """95 % interval of a statistic of `num` clips, whose value on all of them is `value`; None for fewer than two.

    Resampling repeats clips, which shifts statistics that grow for few samples (a distance of sets) a second time. The
    quantiles are moved back by that shift, so the interval is of the expected figure at this number of clips."""
    if num < 2:
        return None
    found = np.array([statistic(picks) for picks in _picks(num, draws, _generator())])
    low, high = _quantiles(found - found.mean() + value, num)
    return low, high


def difference_of_means(a: Sequence[float], b: Sequence[float], paired: bool) -> Difference | None:
    """The difference of two means. paired: the values are of the same clips in the same order; a pair with a value
    that is not finite is left out. None if fewer than two are left."""
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if paired:
        if len(x) != len(y):
            raise ValueError(f"{len(x)} and {len(y)} values are no pairs")
        deltas = _finite(x - y)
        if len(deltas) < 2:
            return None
        low, high = mean_interval(deltas) or (math.nan, math.nan)
        return Difference(float(deltas.mean()), low, high, _p_of_signs(deltas), len(deltas), DRAWS)
    x, y = _finite(x), _finite(y)
    if min(len(x), len(y)) < 2:
        return None
    generator = _generator()
    found = x[_picks(len(x), DRAWS, generator)].mean(1) - y[_picks(len(y), DRAWS, generator)].mean(1)
    low, high = _quantiles(found, min(len(x), len(y)))
    value, pool = float(x.mean() - y.mean()), np.concatenate([x, y])
    orders = np.argsort(generator.random((DRAWS, len(pool))), axis=1)
    exchanged = pool[orders[:, : len(x)]].mean(1) - pool[orders[:, len(x) :]].mean(1)
    return Difference(value, low, high, _p(exchanged, value), 0, DRAWS)


def difference(statistic: Statistic, num_a: int, num_b: int, paired: bool) -> Difference | None:
    """The difference of a statistic of two sets. statistic: of indices into set A followed by set B. paired: clip i of
    A and clip i of B belong together, and are drawn and exchanged together. None for fewer than two clips."""
    if paired and num_a != num_b:
        raise ValueError(f"{num_a} and {num_b} clips are no pairs")
    if min(num_a, num_b) < 2:
        return None
    generator = _generator()
    first, second = np.arange(num_a), num_a + np.arange(num_b)
    value = statistic(first) - statistic(second)
    drawn = []
    for _ in range(DRAWS_OF_SETS):
        picks_a = generator.integers(0, num_a, num_a)
        picks_b = picks_a if paired else generator.integers(0, num_b, num_b)
        drawn.append(statistic(first[picks_a]) - statistic(second[picks_b]))
    found = np.array(drawn)
    low, high = _quantiles(found - found.mean() + value, min(num_a, num_b))
    as_large = made = 0
    while made < EXCHANGES and as_large < ENOUGH:
        if paired:
            swapped = generator.random(num_a) < 0.5
            left, right = np.where(swapped, second, first), np.where(swapped, first, second)
        else:
            left, right = np.split(generator.permutation(num_a + num_b), [num_a])
        as_large += abs(statistic(left) - statistic(right)) >= abs(value) * (1 - 1e-12)
        made += 1
    p = as_large / made if as_large == ENOUGH else (1 + as_large) / (1 + made)
    return Difference(value, low, high, p, num_a if paired else 0, made)


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _finite(values: Any) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    return x[np.isfinite(x)]


def _picks(num: int, draws: int, generator: np.random.Generator) -> np.ndarray:
    return generator.integers(0, num, (draws, num))


def _quantiles(found: np.ndarray, num: int) -> tuple[float, float]:
    """The interval between the quantiles whose width is that of a t interval: plain quantiles are too narrow by
    sqrt((n - 1) / n), and by the quantile of t over that of the normal distribution."""
    tail = NormalDist().cdf(-t_quantile(1 - (1 - LEVEL) / 2, num - 1) * math.sqrt(num / (num - 1)))
    low, high = np.quantile(found, (tail, 1 - tail))
    return float(low), float(high)


def t_quantile(p: float, freedom: int) -> float:
    """The quantile of Student's t (Abramowitz and Stegun, 26.7.5); its two exact forms for 1 and 2 degrees."""
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _p_of_signs(deltas: np.ndarray) -> float:
    """The two-sided p value of a mean under random signs: exact for few values."""
    num = len(deltas)
    if num <= EXACT:
        bits = (np.arange(2**num)[:, None] >> np.arange(num)) & 1
        means = np.abs(((1 - 2 * bits) * deltas).mean(1))
        return float((means >= abs(deltas.mean()) * (1 - 1e-12)).mean())
    signs = 1 - 2 * _generator().integers(0, 2, (10 * DRAWS, num), dtype=np.int8)
    return _p(signs @ deltas / num, float(deltas.mean()))


def _p(exchanged: np.ndarray, value: float) -> float:
    """Of as large a difference by exchange alone; the sets as they are count as one exchange."""
    return float((1 + (np.abs(exchanged) >= abs(value) * (1 - 1e-12)).sum()) / (1 + len(exchanged)))
