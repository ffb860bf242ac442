"""Score: written music as plain values. Beats count from 0 and are exact; seconds follow from the tempo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Note:
    """start, beats: start and length in beats.    pitch: MIDI number (60: middle C).    loud: 0 to 1."""

    start: float
    beats: float
    pitch: int
    loud: float


@dataclass(frozen=True)
class Part:
    """All notes of one instrument, in time order.

    role: pad, bass, keys, lead or drums.    instrument: a name of `voices.VOICES` ("drums" for drums, whose pitches
    are General MIDI's drum keys).    pan: -1 left to 1 right.    gain_db.    wet: share sent to the reverb, 0 to 1.
    """

    role: str
    instrument: str
    notes: tuple[Note, ...]
    pan: float = 0.0
    gain_db: float = 0.0
    wet: float = 0.2


@dataclass(frozen=True)
class Section:
    """The bars from `start_bar` to `stop_bar`, half-open. energy: 0 to 1."""

    name: str
    start_bar: int
    stop_bar: int
    energy: float
    chords: tuple[int, ...]


@dataclass(frozen=True)
class Score:
    """A piece. The last bar is the ending chord, which rings until `seconds`. procedural: composed by rules."""

    title: str
    seed: int
    seconds: float
    bpm: float
    beats_a_bar: int
    tonic: int
    mode: str
    sections: tuple[Section, ...]
    parts: tuple[Part, ...]
    procedural: bool = field(default=True, init=False)

    @property
    def bar_s(self) -> float:
        return self.beats_a_bar * 60 / self.bpm

    def second(self, beat: float) -> float:
        """The time of a beat in seconds."""
        return beat * 60 / self.bpm

    def to_dict(self) -> dict[str, Any]:
        """The score's properties for a file's metadata, without its notes."""
        from .theory import NAMES

        return {
            "composer": "procedural", "words": self.title, "seed": self.seed, "seconds": self.seconds,
            "bpm": round(self.bpm, 4), "beats_a_bar": self.beats_a_bar, "key": NAMES[self.tonic], "mode": self.mode,
            "sections": [f"{each.name} {each.start_bar}-{each.stop_bar}" for each in self.sections],
            "instruments": {part.role: part.instrument for part in self.parts},
        }  # fmt: skip
