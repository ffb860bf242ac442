"""The score of a yardstick that has one figure per clip: their mean, with its interval over clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .bootstrap import mean_interval
from .contract import Score


def mean_score(values: Sequence[float], unit: str, facts: dict[str, Any], why: str = "no clip was measured") -> Score:
    """The mean of the finite values. why: said if there are none."""
    measured = [float(value) for value in values if math.isfinite(value)]
    if not measured:
        return Score(None, None, None, unit, tuple(map(float, values)), {**facts, "why": why})
    low, high = mean_interval(measured) or (None, None)
    return Score(float(np.mean(measured)), low, high, unit, tuple(map(float, values)), facts)
