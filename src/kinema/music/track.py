"""Track: finished music, and saving it to a file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from ..core.events import OnEvent, ignore
from .loudness import Level


@dataclass(frozen=True)
class Track:
    """Music as sound.

    samples:    float32 in [-1, 1], shape (S, 2), 48 kHz.
    procedural: composed by rules, not by a trained model; label it when you publish it.
    details:    words, seed, tempo, key, sound as plain JSON; saved in the file's metadata.
    bpm, bar_s: tempo and seconds per bar, with the first bar at 0; None if unknown.
    level:      loudness and true peak; None before normalisation.
    """

    samples: np.ndarray
    procedural: bool
    details: dict[str, Any]
    bpm: float | None = None
    bar_s: float | None = None
    level: Level | None = None

    @property
    def seconds(self) -> float:
        return len(self.samples) / AUDIO_RATE_HZ

    @property
    def label(self) -> str:
        """A label for display next to the music."""
        return "procedural music (Kinema)" if self.procedural else f"music by {self.details.get('model', 'a model')}"


def save(track: Track, path: str | os.PathLike[str], *, on_event: OnEvent = ignore) -> Path:
    """Write a track to a complete file or none: .wav, .flac, .m4a, .aac, .mp3, .ogg or .opus, by suffix. The metadata
    holds the label and the details. RequestError (suffix), MediaError (cannot be written)."""
    from ..media.write_audio import write_audio

    notes = {"comment": json.dumps({"kinema": track.details, "procedural": track.procedural}), "genre": track.label}
    return write_audio(track.samples, path, notes=notes, on_event=on_event)
