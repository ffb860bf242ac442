"""VBench's scales and weights: from the figures of its dimensions to the quality, semantic and total score.

Source: Huang and others, "VBench: Comprehensive benchmark suite for video generative models", 2023, arXiv 2311.17982,
and the constants of its published leaderboard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

QUALITY = (
    "subject_consistency", "background_consistency", "temporal_flickering", "motion_smoothness", "dynamic_degree",
    "aesthetic_quality", "imaging_quality",
)  # fmt: skip
SEMANTIC = (
    "object_class", "multiple_objects", "human_action", "color", "spatial_relationship", "scene", "appearance_style",
    "temporal_style", "overall_consistency",
)  # fmt: skip
RANGES = {
    "subject_consistency": (0.1462, 1.0), "background_consistency": (0.2615, 1.0),
    "temporal_flickering": (0.6293, 1.0), "motion_smoothness": (0.706, 0.9975), "scene": (0.0, 0.8222),
    "appearance_style": (0.0009, 0.2855), "temporal_style": (0.0, 0.364), "overall_consistency": (0.0, 0.364),
}  # fmt: skip
"""Lowest and highest figure of a dimension; the others are 0 to 1."""
WEIGHTS = {"dynamic_degree": 0.5}
"""Of a dimension in the mean of its group; the others have 1."""
QUALITY_WEIGHT, SEMANTIC_WEIGHT = 4.0, 1.0


@dataclass(frozen=True)
class VBenchTotals:
    """Scores from 0 to 1, None if a part of them lacks. missing: the dimensions without a figure. partial_quality: the
    weighted mean of the quality dimensions that have one (None: none has); it is not comparable with `quality`."""

    quality: float | None
    semantic: float | None
    total: float | None
    partial_quality: float | None
    missing: tuple[str, ...]


def normalised(dimension: str, figure: float) -> float:
    """A dimension's figure between its lowest and highest. Raises KeyError for other names."""
    if dimension not in (*QUALITY, *SEMANTIC):
        raise KeyError(dimension)
    low, high = RANGES.get(dimension, (0.0, 1.0))
    return (figure - low) / (high - low)


def totals(figures: Mapping[str, float | None]) -> VBenchTotals:
    """The scores of a model from the figures of its dimensions; None or left out: not computed."""
    known = {name: normalised(name, figure) for name, figure in figures.items() if figure is not None}
    quality, semantic = _mean(known, QUALITY), _mean(known, SEMANTIC)
    total = None
    if quality is not None and semantic is not None:
        total = (QUALITY_WEIGHT * quality + SEMANTIC_WEIGHT * semantic) / (QUALITY_WEIGHT + SEMANTIC_WEIGHT)
    partial = _mean(known, tuple(name for name in QUALITY if name in known))
    missing = tuple(name for name in (*QUALITY, *SEMANTIC) if name not in known)
    return VBenchTotals(quality, semantic, total, partial, missing)


def _mean(known: Mapping[str, float], names: tuple[str, ...]) -> float | None:
    if not names or any(name not in known for name in names):
        return None
    weights = {name: WEIGHTS.get(name, 1.0) for name in names}
    return sum(weights[name] * known[name] for name in names) / sum(weights.values())
