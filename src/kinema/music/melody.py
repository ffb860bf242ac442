"""Compose the melody: two-bar motifs, repeated and varied, with chord notes on strong beats."""

from __future__ import annotations

import random

from .accompany import RING_BEATS, bars
from .score import Note, Section
from .theme import MusicTheme
from .theory import chord_steps, pitch

_CELLS = {  # note lengths of a bar of four beats; negative values are rests
    "calm": ((2, 2), (3, 1), (4,), (1, 1, 2), (-1, 3), (2, 1, 1)),
    "moving": ((1, 1, 1, 1), (1.5, 0.5, 2), (1, 0.5, 0.5, 2), (2, 1, 1), (-0.5, 0.5, 1, 2), (1.5, 1.5, 1)),
    "busy": ((0.5, 0.5, 1, 0.5, 0.5, 1), (1.5, 0.5, 1, 1), (-0.5, 0.5, 0.5, 0.5, 1, 1), (0.5, 0.5, 0.5, 0.5, 2)),
}
_CELLS_OF_THREE = {
    "calm": ((3,), (2, 1)),
    "moving": ((2, 1), (1, 1, 1), (1.5, 0.5, 1)),
    "busy": ((1, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)),
}
_LOW, _HIGH = -2, 9  # scale steps around the tonic above middle C


def melody(theme: MusicTheme, plan: tuple[Section, ...], draw: random.Random) -> list[Note]:
    """Compose one voice. Phrases of the same letter share a motif; each phrase ends on a chord note."""
    pace = "calm" if theme.density < 0.35 else "moving" if theme.density < 0.7 else "busy"
    cells = (_CELLS if theme.beats_a_bar == 4 else _CELLS_OF_THREE)[pace]
    motifs = {letter: _motif(cells, draw) for letter in "ABC"}
    octave = 4 if theme.tonic > 6 or theme.energy < -0.4 else 5
    octave = 5 if theme.tonic <= 2 else octave
    notes: list[Note] = []
    at = 2
    for section, bar, degree in bars(plan):
        start = bar * theme.beats_a_bar
        if section.name == "ending":
            notes.append(Note(start, RING_BEATS, pitch(theme.tonic, theme.mode, 0 if at < 4 else 7, octave), 0.6))
            continue
        if section.name in ("intro", "close"):
            continue
        index = bar - section.start_bar
        rhythm, contour = motifs[section.name[0] if section.name[0] in motifs else "A"][index % 2]
        if index == 3:  # the end of the phrase
            rhythm, contour = (theme.beats_a_bar / 2, -theme.beats_a_bar / 2), (0, 0)
        beat = 0.0
        for length, move in zip(rhythm, contour):
            if length > 0:
                at = _next(
                    at,
                    move if draw.random() < 0.85 else draw.choice((-1, 1)),
                    degree,
                    beat == int(beat) and int(beat) % 2 == 0,
                )
                loud = 0.55 + 0.3 * section.energy - (0.0 if beat % 2 == 0 else 0.08)
                notes.append(Note(start + beat, length * 0.95, pitch(theme.tonic, theme.mode, at, octave), loud))
            beat += abs(length)
    return notes


def _motif(
    cells: tuple[tuple[float, ...], ...], draw: random.Random
) -> list[tuple[tuple[float, ...], tuple[int, ...]]]:
    """Draw two bars, each a rhythm and its moves in scale steps."""
    found = []
    for _ in range(2):
        rhythm = draw.choice(cells)
        direction = draw.choice((-1, 1))
        found.append((rhythm, tuple(direction * draw.choice((1, 1, 2, -1, 0, 3)) for _ in rhythm)))
    return found


def _next(at: int, move: int, degree: int, strong: bool) -> int:
    """The next scale step: the move, reversed at the edge of the range; on a strong beat, the nearest chord note."""
    goal = at + move
    if not _LOW <= goal <= _HIGH:
        goal = at - move
    if strong:
        chord = {step % 7 for step in chord_steps(degree)}
        goal = min(
            (step for step in range(_LOW, _HIGH + 1) if step % 7 in chord), key=lambda step: (abs(step - goal), step)
        )
    return goal
