"""Curation of a person's clips by motion, before they are encoded: every clip is measured, dropped clips are reported
with the reason (features/motion_filter.py)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import KinemaError, MediaError
from ...core.outside import MAX_JSON_BYTES, for_terminal, read_json
from ...core.whole import whole, write_text
from ...features.flow import Estimate
from ...features.motion_filter import ClipMotion, measure
from ...media import captions
from ...media.resize import resize_frames
from ..core import processes
from . import buckets
from .own_clips import Item

SIDE_PX = 192
"""Shorter side of the frames that are measured; larger clips are scaled down."""
FILE, REPORT = "motion.json", "motion.txt"
SHOWN = 24


@dataclass
class Curated:
    """The clips of a folder by index. motion: of the measured ones. dropped: reasons."""

    names: list[str]
    motion: dict[int, ClipMotion] = field(default_factory=dict)
    dropped: dict[int, str] = field(default_factory=dict)

    @property
    def kept(self) -> list[int]:
        return [number for number in range(len(self.names)) if number not in self.dropped]

    def weight(self, number: int) -> float:
        return self.motion[number].weight

    def lines(self, most: int | None = None) -> list[str]:
        """The report: counts, dropped clips with reasons, kept clips with their scores and weights."""
        found = [f"{len(self.kept)} clips kept for their motion, {len(self.dropped)} dropped"]
        lists = (
            [f"dropped: {self.names[number]}: {why}" for number, why in self.dropped.items()],
            [
                f"kept: {self.names[number]}: flow score {self.motion[number].score:.2f}, weight "
                f"{self.weight(number):.2f}"
                for number in self.kept
            ],
        )
        for each in lists:
            shown = each[:most]
            found += shown
            if more := len(each) - len(shown):
                found.append(f"{each[0].partition(':')[0]}: {more:,} more; see {REPORT} for all")
        return [for_terminal(line) for line in found]

    def report(self, out: Path, show: Callable[[dict[str, Any]], None]) -> dict[str, int]:
        """Show the report, write OUT/motion.txt, return the stage's results. Raises ValueError if no clip is left."""
        for line in self.lines(SHOWN):
            show({"event": "data", "": line})
        if processes.first():
            with whole(out / REPORT) as file:
                file.write_text("\n".join(self.lines()) + "\n", encoding="utf-8")
        if not self.kept:
            raise ValueError(
                "No clip is left for training: " + "; ".join(self.lines()[1:4])
                + ". camera=keep keeps moving cameras, least_flow=0 still clips."
            )  # fmt: skip
        return {"clips": len(self.kept), "dropped": len(self.dropped)}


def curate(
    items: Sequence[Item], estimate: Estimate, out: Path, *, frames: int, fps: float, method: str, camera: bool = True,
    least: float, on_clip: Callable[[int, int], Any] = lambda done, count: None,
    on_unreadable: Callable[[int, MediaError], Any] = lambda number, error: None,
) -> Curated:  # fmt: skip
    """Measure all clips, each over the windows that training uses, at a shorter side of SIDE_PX. camera, least: as in
    ClipMotion.why_dropped. method: name of the flow estimator. Measurements are kept in OUT/motion.json by the file's
    digest. on_unreadable: callback (index, error) for a clip that cannot be decoded to its end; it is dropped."""
    curated = Curated([item.path.name for item in items])
    known = _known(out / FILE)
    before = dict(known)
    for number, item in enumerate(items):
        try:
            key = f"{buckets.digest(item.path)} {method} {frames} {fps:g}"
            if not _are_numbers(known.get(key)):
                known[key] = _measured(item, estimate, frames, fps)
            curated.motion[number] = ClipMotion(*known[key])
            if why := curated.motion[number].why_dropped(camera=camera, least=least):
                curated.dropped[number] = why
        except MediaError as error:
            curated.dropped[number] = captions.reason(error, item.path)
            on_unreadable(number, error)
        on_clip(number + 1, len(items))
    if known != before and processes.first():
        write_text(out / FILE, json.dumps(known, indent=1))
    return curated


def _known(file: Path) -> dict[str, Any]:
    """Measurements of an earlier run; none from a file that cannot be read."""
    try:
        return read_json(file, dict, max_bytes=MAX_JSON_BYTES)
    except (FileNotFoundError, KinemaError):
        return {}


def _measured(item: Item, estimate: Estimate, frames: int, fps: float) -> list[float]:
    """The mean motion of a clip's windows."""
    scale = min(1.0, SIDE_PX / min(item.info.height, item.info.width))
    height, width = max(16, round(item.info.height * scale)), max(16, round(item.info.width * scale))
    found = [
        measure(estimate(resize_frames(window, height, width)), fps)
        for window in buckets.pixels(item.path, buckets.windows(item, frames, fps))
    ]
    each = np.array([[one.score, one.explained, one.camera_margin, one.camera_speed] for one in found])
    return [float(value) for value in each.mean(0)]


def _are_numbers(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) == 4
        and all(isinstance(each, int | float) and math.isfinite(each) for each in values)
    )
