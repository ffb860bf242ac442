"""The Frechet distance between two sets of features, and the statistics of a set that it needs.

Legend: N samples, D width of the features, K = min(N, D).

Source: Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982, equation 16; as a
measure of video: Unterthiner and others, "Towards accurate generative models of video", 2018, arXiv 1812.01717.
Growth for few samples, and the fit in 1/N: Chong and Forsyth, "Effectively unbiased FID", 2020, arXiv 1911.07023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FRACTIONS = (1.0, 0.875, 0.75, 0.625, 0.5)
"""Parts of both sets whose distances are fitted to find the limit of many samples."""
LEAST_FOR_LIMIT = 16
REPEATS = 4


@dataclass(frozen=True)
class FittedGaussian:
    """The normal distribution fitted to features. mean_D, factor_KD: float64; the covariance is factor^T factor, so it
    is never squared again, and sets with fewer samples than dimensions are exact. num: samples."""

    mean_D: np.ndarray
    factor_KD: np.ndarray
    num: int

    @classmethod
    def of(cls, features_ND: np.ndarray, sample: bool) -> FittedGaussian:
        """Fit one. sample: divide the covariance by N - 1 (as numpy.cov), not by N. One feature has no covariance.
        ValueError for features that are not finite."""
        x_ND = np.asarray(features_ND, dtype=np.float64)
        if x_ND.ndim != 2 or not len(x_ND) or not np.isfinite(x_ND).all():
            raise ValueError(f"features of shape {x_ND.shape}: not finite numbers of shape (N, D)")
        mean_D = x_ND.mean(0)
        centred_ND = (x_ND - mean_D) / np.sqrt(max(len(x_ND) - sample, 1))
        if len(x_ND) <= x_ND.shape[1]:
            return cls(mean_D, centred_ND, len(x_ND))
        factor_DD: np.ndarray = np.linalg.qr(centred_ND, "r")  # type: ignore[assignment]
        return cls(mean_D, factor_DD, len(x_ND))

    @classmethod
    def of_moments(cls, mean_D: np.ndarray, covariance_DD: np.ndarray, num: int) -> FittedGaussian:
        """From a mean and a covariance. Negative eigenvalues, which rounding leaves, count as 0."""
        values_D, vectors_DD = np.linalg.eigh(np.asarray(covariance_DD, dtype=np.float64))
        factor_DD = np.sqrt(np.maximum(values_D, 0.0))[:, None] * vectors_DD.T
        return cls(np.asarray(mean_D, dtype=np.float64), factor_DD, num)

    @property
    def covariance_DD(self) -> np.ndarray:
        return self.factor_KD.T @ self.factor_KD

    @property
    def is_deficient(self) -> bool:
        """Whether the samples are too few to span the space: the distance then depends on N most of all."""
        return self.num <= len(self.mean_D)


def distance(a: FittedGaussian, b: FittedGaussian) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), in squared units of the features; 0 or more.

    With S = F^T F, the eigenvalues of S_a S_b are the squared singular values of F_a F_b^T: their sum is the trace of
    the root, without the root of a product that rounding has made asymmetric."""
    if a.mean_D.shape != b.mean_D.shape:
        raise ValueError(f"features of {a.mean_D.shape[0]} and {b.mean_D.shape[0]} numbers have no distance")
    traces = float((a.factor_KD**2).sum() + (b.factor_KD**2).sum())
    shared = float(np.linalg.svd(a.factor_KD @ b.factor_KD.T, compute_uv=False).sum())
    found = float(((a.mean_D - b.mean_D) ** 2).sum()) + traces - 2.0 * shared
    return found if found > 1e-13 * traces else 0.0  # below the rounding of its terms


def of_features(a_ND: np.ndarray, b_ND: np.ndarray, sample: bool) -> float:
    """The distance of two sets of features."""
    return distance(FittedGaussian.of(a_ND, sample), FittedGaussian.of(b_ND, sample))


def smaller_sets(measure: Callable[[np.ndarray, np.ndarray], float], num_a: int, num_b: int) -> dict[int, float]:
    """Mean distance by the number of samples of the first set, over random parts of both sets with a fixed seed.
    measure: the distance of samples with these indices. num_b = 0: the second set is statistics, and stays whole."""
    generator = np.random.default_rng(0)
    found: dict[int, float] = {}
    for fraction in FRACTIONS:
        sizes = [round(fraction * num) for num in (num_a, num_b)]
        times = 1 if fraction == 1.0 else REPEATS
        picks = [[generator.permutation(num)[:size] for num, size in zip((num_a, num_b), sizes)] for _ in range(times)]
        found[sizes[0]] = float(np.mean([measure(*pair) for pair in picks]))
    return found


def is_a_line(num: int, width: int) -> bool:
    """Whether the distance of so many samples, and more, is a line over 1/N. At 1.25 samples per dimension the limit of
    two samples of one distribution was -44 % of the distance, at 2.5 within 1 % (docs/yardsticks.md)."""
    return num >= 2 * width


def limit(by_size: dict[int, float]) -> float:
    """The distance of infinitely many samples: where the line through the distances over 1/N meets 1/N = 0. It is a
    line only where N is well above D (Chong and Forsyth, section 3)."""
    inverse = np.array([1.0 / size for size in by_size])
    return float(np.polyfit(inverse, np.array(list(by_size.values())), 1)[1])
