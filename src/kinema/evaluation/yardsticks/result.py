"""The result of an evaluation: figures, and the clips that they were computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .contract import ClipFile, Score

GIVEN, OTHER = "clips", "against"
"""The sides of an evaluation."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class FailedClip:
    """A file that was not measured. side: "clips" or "against". yardstick: the only one that failed, or ""."""

    side: str
    clip: str
    reason: str
    yardstick: str = ""


@dataclass(frozen=True)
class Figure:
    """The figure of one yardstick. clips: the names of the measured ones, in the order of `score.per_clip`."""

    name: str
    title: str
    unit: str
    better: str
    against: str
    protocol: dict[str, Any]
    score: Score
    clips: tuple[str, ...]


@dataclass
class Evaluation:
    """The figures of a set of clips. shapes: by side and clip (frames that were read, height, width, fps). failed:
    files that were left out. differing: (side, clip, how its size or rate differs from most). not_computed: metrics of
    `all` and parts of `vbench` that could not be measured, with the reason. Save it with `report.save`."""

    path: Path
    against: Path | None
    figures: list[Figure]
    files: dict[str, ClipFile]
    others: dict[str, ClipFile]
    shapes: dict[str, dict[str, tuple[int, int, int, float]]]
    failed: list[FailedClip] = field(default_factory=list)
    differing: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: float = 0.0
    not_computed: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Figure:
        """The figure of a yardstick. Raises KeyError."""
        return {each.name: each for each in self.figures}[name]

    def partner(self, name: str) -> ClipFile | None:
        """The clip of --against that a clip is compared with as a pair."""
        return partner(name, self.files, self.others)


def partner(name: str, given: Mapping[str, Item], others: Mapping[str, Item]) -> Item | None:
    """The clip of the same name among the others; two single clips are a pair whatever their names."""
    return next(iter(others.values())) if len(others) == len(given) == 1 else others.get(name)
