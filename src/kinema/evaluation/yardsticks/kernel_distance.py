"""The squared maximum mean discrepancy (MMD) of the features of two sets, with the polynomial kernel of JEDi. It needs
no normal distribution of the features, and far fewer clips than the Frechet distance.

Legend: N M clips, D features.

Sources: Luo and others, "Beyond FVD", 2024, arXiv 2410.05203 (JEDi: kernel (x.y / D)^2, times 100, on features of
V-JEPA); Gretton and others, "A kernel two-sample test", 2012, equations 3 (unbiased) and 5 (biased).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from . import bootstrap
from .clip_features import ClipFeatures, stacked
from .contract import ClipFile, Row, Score, SetClip, YardstickSettings

DEGREE = 2
OFFSET = 0.0
SCALE = 100.0


def kernel(a_ND: np.ndarray, b_MD: np.ndarray) -> np.ndarray:
    """(x.y / D + OFFSET)^DEGREE of all pairs, (N, M)."""
    found: np.ndarray = (a_ND @ b_MD.T / a_ND.shape[1] + OFFSET) ** DEGREE
    return found


def unbiased(xx_NN: np.ndarray, yy_MM: np.ndarray, xy_NM: np.ndarray) -> float:
    """Equation 3 of Gretton and others: no clip is paired with itself. Around 0 for two samples of one distribution,
    also below it; below 0 for a set against itself."""
    return _mean_of_others(xx_NN) + _mean_of_others(yy_MM) - 2.0 * float(xy_NM.mean())


def biased(xx_NN: np.ndarray, yy_MM: np.ndarray, xy_NM: np.ndarray) -> float:
    """Equation 5: 0 or more, 0 for a set against itself; larger for few clips."""
    return max(float(xx_NN.mean()) + float(yy_MM.mean()) - 2.0 * float(xy_NM.mean()), 0.0)


def _mean_of_others(gram_NN: np.ndarray) -> float:
    num = len(gram_NN)
    return float(gram_NN.sum() - np.trace(gram_NN)) / (num * (num - 1))


class KernelDistance:
    """MMD of the features of clips; the features, frames and resize are those of the Frechet distance."""

    name = "kernel_distance"
    title = "Kernel distance (MMD as JEDi's), times 100"
    unit = ""
    better: Literal["lower", "higher", "neither"] = "lower"
    against: Literal["no", "set", "pairs"] = "set"

    def __init__(self, settings: YardstickSettings) -> None:
        self.features = ClipFeatures(settings)

    def protocol(self) -> dict[str, Any]:
        facts = {key: value for key, value in self.features.protocol().items() if key != "covariance"}
        return {**facts, "kernel": "(x.y / D)^2", "scale": SCALE, "estimator": "unbiased"}

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        self.features.check(clips, against)

    def measure(self, clip: SetClip) -> Row:
        return self.features.measure(clip)

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        """The unbiased estimate, times 100. facts["biased"]: the estimate that JEDi's package prints (0 for a set
        against itself)."""
        if min(len(rows), len(against)) < 2:
            return Score(None, None, None, self.unit, None, {"why": "fewer than two clips that can be measured"})
        x, y = stacked(rows), stacked(against)
        xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
        value = SCALE * unbiased(xx, yy, xy)
        generator = np.random.default_rng(1)

        def drawn(picks: np.ndarray) -> float:
            others = generator.integers(0, len(y), len(y))
            return SCALE * _of_counts(xx, yy, xy, _counts(picks, len(x)), _counts(others, len(y)))

        low, high = bootstrap.interval(value, drawn, len(x)) or (None, None)
        facts = self.features.facts(rows, against)
        facts["biased"] = SCALE * biased(xx, yy, xy)
        return Score(value, low, high, self.unit, None, facts)

    def difference(
        self, a: Sequence[Row], b: Sequence[Row], against: Sequence[Row], paired: bool
    ) -> bootstrap.Difference | None:
        """Whether sets A and B are at different distances from a third. paired: clip i of A and of B are a pair."""
        if min(len(a), len(b), len(against)) < 2:
            return None
        x, y = stacked([*a, *b]), stacked(against)
        xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
        every = np.ones(len(y))
        return bootstrap.difference(
            lambda picks: SCALE * _of_counts(xx, yy, xy, _counts(picks, len(x)), every), len(a), len(b), paired
        )


def _counts(picks: np.ndarray, num: int) -> np.ndarray:
    return np.bincount(picks, minlength=num).astype(np.float64)


def _of_counts(
    xx_NN: np.ndarray, yy_MM: np.ndarray, xy_NM: np.ndarray, times_N: np.ndarray, times_M: np.ndarray
) -> float:
    """The unbiased estimate of clips that occur so many times, without gathering their kernels."""
    num, other = times_N.sum(), times_M.sum()
    first = (times_N @ xx_NN @ times_N - times_N @ np.diag(xx_NN)) / (num * (num - 1))
    second = (times_M @ yy_MM @ times_M - times_M @ np.diag(yy_MM)) / (other * (other - 1))
    return float(first + second - 2.0 * (times_N @ xy_NM @ times_M) / (num * other))
