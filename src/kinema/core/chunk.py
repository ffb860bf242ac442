"""Chunk: a run of decoded frames, the one value that flows from the models to files, streams and screens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

AUDIO_RATE_HZ = 48_000


@dataclass(frozen=True)
class Chunk:
    """Decoded frames of one clip, in order; chunks of a clip follow each other without gap or overlap.

    frames: uint8 RGB, shape (F, H, W, 3).    start: index of its first frame in the clip.    fps: frames per second.
    audio:  float32 in [-1, 1], shape (samples, channels) at 48 kHz, or None.
    """

    frames: np.ndarray
    start: int
    fps: float
    audio: np.ndarray | None = None

    @property
    def stop(self) -> int:
        """Index after the last frame (half-open)."""
        return self.start + len(self.frames)
