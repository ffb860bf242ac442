"""VBench's quality score of a set: its seven quality dimensions in one pass, on the scales and weights of its
leaderboard (normalise.py). Dimensions whose weights are not on this machine are named, and a score that lacks a part is
partial. The nine semantic dimensions require detectors and captioners; none of them is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError, WeightsMissing
from . import normalise
from .clip_means import mean_score
from .contract import ClipFile, Row, Score, SetClip, Yardstick, YardstickSettings
from .vbench_consistency import background_consistency, subject_consistency
from .vbench_motion import DynamicDegree, MotionSmoothness, TemporalFlickering
from .vbench_quality import AestheticQuality, ImagingQuality
from .vbench_semantic import WHY_NOT

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
        """The quality score, the mean of the clips' weighted and normalised figures. If a dimension lacks, value is
        None and facts["partial_quality"] is that of the others, which compares only with figures of the same ones."""
        names = list(self.parts)
        figures = {name: [float(row[f"{name}/value"]) for row in rows] for name in names}
        means = {name: float(np.mean(values)) for name, values in figures.items() if values}
        found = normalise.totals(means)
        facts: dict[str, Any] = {
            "clips": len(rows), "dimensions": means, "not_computed": list(found.missing),
            "why_not": self.lacking | WHY_NOT, "total": "not computed: it needs all dimensions",
        }  # fmt: skip
        if found.quality is None:
            facts["partial_quality"] = found.partial_quality
            facts["partial_of"] = [name for name in normalise.QUALITY if name in means]
            facts["why"] = "partial: lacks " + ", ".join(n for n in normalise.QUALITY if n not in means)
            return Score(None, None, None, self.unit, None, facts)
        each = [normalise.totals({name: figures[name][n] for name in names}).quality for n in range(len(rows))]
        return mean_score([value for value in each if value is not None], self.unit, facts)
