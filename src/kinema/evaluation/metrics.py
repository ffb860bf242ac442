"""The table of the metrics of single clips.

A metric is a function of a `JudgedClip` in a file of its own, and a line in METRICS. `kinema evaluate CLIP` runs those
that are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import RequestError
from ..core.near import nearest
from . import path_error
from .judged_clip import JudgedClip


@dataclass(frozen=True)
class Metric:
    """One metric. measure: returns plain values, with `value` in `unit` (None: it could not be measured). check: raises
    RequestError for a clip that it cannot measure, before any frame is read."""

    name: str
    title: str
    unit: str
    measure: Callable[[JudgedClip], dict[str, Any]]
    check: Callable[[JudgedClip], None] = lambda clip: None


METRICS: tuple[Metric, ...] = (
    Metric(
        "trajectory_error", "distance from the requested path", "% of the shorter side",
        path_error.measure, path_error.check,
    ),
)  # fmt: skip
BY_NAME = {metric.name: metric for metric in METRICS}


def chosen(names: Sequence[str]) -> list[Metric]:
    """The metrics of these names, which may be separated by commas; all if there are none. Raises RequestError."""
    given = [part.strip() for name in names for part in name.split(",") if part.strip()]
    for name in given:
        if name not in BY_NAME:
            raise RequestError(
                f"No metric {name!r}.", field="metrics", value=name, legal=", ".join(BY_NAME),
                nearest=nearest(name, list(BY_NAME)),
            )  # fmt: skip
    return [BY_NAME[name] for name in dict.fromkeys(given)] or list(METRICS)


def measure(clip: JudgedClip, metrics: Sequence[Metric]) -> dict[str, dict[str, Any]]:
    """Measure a clip: the result of each metric by its name. All are checked first."""
    for metric in metrics:
        metric.check(clip)
    return {metric.name: {"unit": metric.unit, **metric.measure(clip)} for metric in metrics}
