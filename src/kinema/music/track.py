"""Track: finished music, and the way of it into a file."""

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
    procedural: made by rules, not by a model that learnt from music; whoever plays it should say so.
    made:       how, as plain JSON: words, seed, tempo, key, sound; it goes into the file.
    bpm, bar_s: beats a minute and seconds of a bar, the first bar begins at 0; None where nobody knows.
    level:      loudness and true peak; None before it was brought to a level.
    """

    samples: np.ndarray
    procedural: bool
    made: dict[str, Any]
    bpm: float | None = None
    bar_s: float | None = None
    level: Level | None = None

    @property
    def seconds(self) -> float:
        return len(self.samples) / AUDIO_RATE_HZ

    @property
    def label(self) -> str:
        """What to write beside it, for people."""
        return "procedural music (Kinema)" if self.procedural else f"music by {self.made.get('model', 'a model')}"


def save(track: Track, path: str | os.PathLike[str], *, on_event: OnEvent = ignore) -> Path:
    """Write a track: .wav, .flac, .m4a, .aac, .mp3, .ogg or .opus, by suffix; the file appears whole or not at all.
    Its notes say what it is and how it was made. RequestError (suffix), MediaError (cannot be written)."""
    from ..media.write_audio import write_audio

    notes = {"comment": json.dumps({"kinema": track.made, "procedural": track.procedural}), "genre": track.label}
    return write_audio(track.samples, path, notes=notes, on_event=on_event)
