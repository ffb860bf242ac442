"""Confidence intervals (95 %) of percentages and means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_Z = 1.96
_DRAWS = 2000


def summary(values: Sequence[Any]) -> dict[str, Any]:
    """Return {"value", "low", "high", "n"} of bools (percent, Wilson interval) or numbers (mean, bootstrap)."""
    if all(isinstance(value, bool) for value in values):
        low, high = wilson(sum(values), len(values))
        mean = 100.0 * sum(values) / len(values)
    else:
        low, high = bootstrap(values)
        mean = float(np.mean(values))
    return {"value": round(mean, 3), "low": round(low, 3), "high": round(high, 3), "n": len(values)}


def wilson(right: int, total: int) -> tuple[float, float]:
    """Wilson interval (1927) of a share, in percent; (0, 100) if total is 0."""
    if total == 0:
        return 0.0, 100.0
    p, z2 = right / total, _Z**2
    middle = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return 100.0 * max(middle - half, 0.0), 100.0 * min(middle + half, 1.0)


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """Bootstrap interval of the mean: percentiles over 2000 resamples with a fixed seed."""
    x = np.asarray(values, dtype=np.float64)
    if len(x) == 1:
        return float(x[0]), float(x[0])
    picks = np.random.default_rng(0).integers(0, len(x), (_DRAWS, len(x)))
    low, high = np.percentile(x[picks].mean(1), (2.5, 97.5))
    return float(low), float(high)
