"""VBench's quality score of a set: its seven quality dimensions in one pass, on the scales and weights of its
leaderboard (normalise.py). Dimensions whose weights are not on this machine are named, and a score that lacks a part is
partial. The nine semantic dimensions require detectors and captioners; none of them is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError, WeightsMissing
from . import bootstrap, normalise
from .contract import ClipFile, Row, Score, SetClip, Yardstick, YardstickSettings
from .vbench_consistency import background_consistency, subject_consistency
from .vbench_motion import DynamicDegree, MotionSmoothness, TemporalFlickering
from .vbench_quality import AestheticQuality, ImagingQuality

DIMENSIONS: dict[str, Callable[[YardstickSettings], Yardstick]] = {
    "subject_consistency": subject_consistency,
    "background_consistency": background_consistency,
    "temporal_flickering": TemporalFlickering,
    "motion_smoothness": MotionSmoothness,
    "dynamic_degree": DynamicDegree,
    "aesthetic_quality": AestheticQuality,
    "imaging_quality": ImagingQuality,
}


class VBenchQuality:
    """The quality score; partial if a dimension lacks its weights. dimensions: replace those of DIMENSIONS."""

    name = "vbench"
    title = "VBench's quality score"
    unit = ""
    better: Literal["lower", "higher", "neither"] = "higher"
    against: Literal["no", "set", "pairs"] = "no"

    def __init__(self, settings: YardstickSettings, dimensions: dict[str, Yardstick] | None = None) -> None:
        made = dimensions or {name: make(settings) for name, make in DIMENSIONS.items()}
        self.parts: dict[str, Yardstick] = {}
        self.lacking: dict[str, str] = {}
        for name, part in made.items():
            try:
                part.check([], [])
                self.parts[name] = part
            except WeightsMissing as error:
                self.lacking[name] = str(error)

    def protocol(self) -> dict[str, Any]:
        return {name: part.protocol() for name, part in self.parts.items()} | {"not_computed": sorted(self.lacking)}

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        for part in self.parts.values():
            part.check(clips, against)

    def measure(self, clip: SetClip) -> Row:
        """The rows of all dimensions, their names before a slash. MediaError if a dimension cannot measure the clip:
        the score is of the same clips in each."""
        if len(clip.frames_FHWC) < 3:
            raise MediaError(f"{clip.file.name}: {len(clip.frames_FHWC)} frames; {self.name} needs 3.")
        return {
            f"{name}/{key}": value for name, part in self.parts.items() for key, value in part.measure(clip).items()
        }

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        """The quality score. If a dimension lacks, value is None and facts["partial_quality"] is the mean of the
        others, which compares only with figures of the same dimensions."""
        figures = {name: self._figure(name, rows) for name in self.parts}
        found = normalise.totals(figures)
        facts: dict[str, Any] = {
            "clips": len(rows),
            "dimensions": {name: figure for name, figure in figures.items() if figure is not None},
            "not_computed": list(found.missing),
            "why_not": self.lacking,
            "total": "not computed: it needs all dimensions",
        }
        if not rows or found.quality is None:
            facts["partial_quality"] = found.partial_quality
            facts["partial_of"] = [name for name in normalise.QUALITY if figures.get(name) is not None]
            facts["why"] = "partial: lacks " + ", ".join(n for n in normalise.QUALITY if figures.get(n) is None)
            return Score(None, None, None, self.unit, None, facts)

        def drawn(picks: np.ndarray) -> float:
            part = [rows[pick] for pick in picks]
            value = normalise.totals({name: self._figure(name, part) for name in self.parts}).quality
            return float("nan") if value is None else value

        low, high = bootstrap.interval(found.quality, drawn, len(rows)) or (None, None)
        return Score(found.quality, low, high, self.unit, None, facts)

    def _figure(self, name: str, rows: Sequence[Row]) -> float | None:
        values = [float(row[f"{name}/value"]) for row in rows]
        return float(np.mean(values)) if values else None
