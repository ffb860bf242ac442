"""Compose drums: patterns by energy, a fill before each section and a crash at its start. Keys are General MIDI's."""

from __future__ import annotations

import random

from .accompany import bars
from .score import Note, Section
from .theme import MusicTheme

KICK, SNARE, HAT, OPEN_HAT, LOW_TOM, HIGH_TOM, CRASH, SHAKER = 36, 38, 42, 46, 45, 50, 49, 70


def drums(theme: MusicTheme, plan: tuple[Section, ...], draw: random.Random) -> list[Note]:
    """Compose the drum part: silent in the introduction and the close; one kick and a crash in the ending."""
    beats, notes = theme.beats_a_bar, []
    late_kick = draw.choice((2.5, 1.5, 2.0)) if beats == 4 else 2.0
    for section, bar, _ in bars(plan):
        start = bar * beats
        if section.name == "ending":
            notes += [Note(start, 1, KICK, 0.8), Note(start, 1, CRASH, 0.25 + 0.4 * section.energy)]
            continue
        if section.name == "close" or (
            section.name == "intro" and bar - section.start_bar < section.stop_bar - section.start_bar - 2
        ):
            continue
        notes += _bar(section, start, beats, late_kick, draw)
        if bar == section.start_bar and section.energy > 0.6:
            notes.append(Note(start, 1, CRASH, 0.35))
        if bar == section.stop_bar - 1 and section.energy > 0.45:
            notes = [note for note in notes if note.start < start + beats - 1]
            fill = (SNARE, SNARE, HIGH_TOM, LOW_TOM) if section.energy > 0.6 else (HIGH_TOM, LOW_TOM)
            notes += [
                Note(start + beats - 1 + index / len(fill), 0.25, each, 0.45 + 0.1 * index)
                for index, each in enumerate(fill)
            ]
    return notes


def _bar(section: Section, start: float, beats: int, late_kick: float, draw: random.Random) -> list[Note]:
    energy = section.energy
    notes = [Note(start, 0.5, KICK, 0.6 + 0.3 * energy)]
    hat = SHAKER if energy < 0.4 else HAT
    notes += [
        Note(start + eighth / 2, 0.25, hat, (0.4 if eighth % 2 == 0 else 0.25) * draw.uniform(0.9, 1.0))
        for eighth in range(0, 2 * beats, 1 if energy > 0.3 else 2)
    ]
    if energy > 0.35:
        notes += [Note(start + beat, 0.5, SNARE, 0.4 + 0.4 * energy) for beat in ((1, 3) if beats == 4 else (1, 2))]
        notes.append(Note(start + late_kick, 0.5, KICK, 0.6))
    if energy > 0.75:
        notes += [Note(start + beat, 0.5, KICK, 0.75) for beat in range(1, beats) if beat != late_kick]
        notes += [Note(start + beat + 0.5, 0.5, OPEN_HAT, 0.3) for beat in range(beats)]
    return notes
