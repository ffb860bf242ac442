"""Three yardsticks whose figures are known exactly, and small sets of clips for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError
from kinema.evaluation.yardsticks import bootstrap
from kinema.evaluation.yardsticks.contract import Score
from kinema.media.write import write


class Brightness:
    """The mean of all pixels. Reads at least 4 frames."""

    name, title, unit, better, against = "brightness", "mean brightness", "levels", "higher", "no"
    measured: Sequence[str] = []

    def __init__(self, settings):
        self.least = 4

    def protocol(self):
        return {"frames": "all", "scale": 1.0}

    def check(self, clips, against):
        pass

    def measure(self, clip):
        type(self).measured = [*self.measured, clip.file.name]
        if len(clip.frames_FHWC) < self.least:
            raise MediaError(f"{clip.file.name}: {len(clip.frames_FHWC)} frames; {self.least} are needed.")
        return {"value": np.array(clip.frames_FHWC.mean())}

    def score(self, rows, against):
        values = [float(row["value"]) for row in rows]
        low, high = bootstrap.mean_interval(values) or (None, None)
        return Score(float(np.mean(values)), low, high, self.unit, tuple(values), {})


class Gap(Brightness):
    """The mean absolute difference of pairs."""

    name, title, better, against = "gap", "mean absolute difference", "lower", "pairs"

    def measure(self, clip):
        difference = clip.frames_FHWC.astype(float) - clip.partner.frames_FHWC
        return {"value": np.array(np.abs(difference).mean())}


class FarFrom(Brightness):
    """The distance of the mean brightness of two sets: no figure of single clips."""

    name, title, better, against = "far", "distance of brightness", "lower", "set"

    def score(self, rows, against):
        value = abs(np.mean([row["value"] for row in rows]) - np.mean([row["value"] for row in against]))
        return Score(float(value), None, None, self.unit, None, {"others": len(against)})


def write_clip(path: Path, level: int, frames: int = 6, size: int = 32, fps: float = 8.0) -> None:
    """A flat clip of one gray level with a bar that moves."""
    frames_FHWC = np.full((frames, size, size, 3), level, np.uint8)
    for number in range(frames):
        frames_FHWC[number, 4:8, 2 * number : 2 * number + 6] = 255 - level
    path.parent.mkdir(parents=True, exist_ok=True)
    write([Chunk(frames_FHWC, 0, fps)], str(path))


def write_set(folder: Path, count: int = 6, darker: int = 0) -> Path:
    for number in range(count):
        write_clip(folder / f"{number:03d}.mp4", 100 + 10 * number - darker)
    return folder
