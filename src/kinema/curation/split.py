"""Split a file into shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import KinemaError, MediaError
from ..media.captions import reason
from ..media.open import reading, sniff
from .detectors import make_detectors
from .reading import opened
from .state import ShotsOfFile, SourceFile
from .transitions import SHORTEST_S, joined, spans

SIDE_PX = 192
"""Longer side of the frames that detectors see."""
LEAST_FRAMES = 2


@dataclass(frozen=True)
class SplitWork:
    """Find the shots of files. detectors: names; their transitions are joined. longest_s: longer shots are divided."""

    folder: Path
    detectors: tuple[str, ...]
    longest_s: float | None = None

    def open(self) -> None:
        make_detectors(self.detectors)

    def __call__(self, file: SourceFile) -> ShotsOfFile:
        path = self.folder / file.name
        try:
            return split_file(path, file.name, self.detectors, self.longest_s)
        except KinemaError as error:
            return self.failed(file, reason(error, path))

    def failed(self, file: SourceFile, why: str) -> ShotsOfFile:
        return ShotsOfFile(file.name, error=why)


def split_file(path: Path, name: str, detectors: Sequence[str], longest_s: float | None) -> ShotsOfFile:
    """Decode a file once and return its shots. Raises MediaError."""
    if sniff(path) == "picture":
        raise MediaError(f"{path}: a picture, not a video.")
    video = opened(path)
    num, fps = video.timeline.num_frames, float(video.timeline.fps)
    if num < LEAST_FRAMES:
        raise MediaError(f"{path}: too short ({num} frame{'s' if num != 1 else ''}).")
    seeing = make_detectors(detectors, fps)
    scale = min(1.0, SIDE_PX / max(video.coded))
    height, width = (max(2, round(side * scale / 2) * 2) for side in video.coded)
    seen = 0
    with reading(path):
        shown: tuple[Any, np.ndarray] | None = None
        for number, frame in video.coded_frames(0, num):
            if shown is None or shown[0] is not frame:
                shown = frame, _reduced(frame, width, height)
            for detector in seeing:
                detector.see(number, shown[1])
            seen += 1
    if seen < num:
        raise MediaError(f"{path}: contains {seen} of {num} frames; the file is truncated or damaged.")
    transitions = joined((each for detector in seeing for each in detector.finish()), round(SHORTEST_S * fps))
    found = tuple(span for span in spans(num, transitions, fps, longest_s) if span[1] - span[0] >= LEAST_FRAMES)
    return ShotsOfFile(name, found, fps, video.width, video.height)


def _reduced(frame: Any, width: int, height: int) -> np.ndarray:
    """A decoded frame as a small uint8 BGR picture; colours need not be exact here."""
    return frame.reformat(width=width, height=height, format="bgr24", interpolation="AREA", threads=1).to_ndarray()
