"""Compose pad, bass and keys: the chords of each bar as long notes, bass notes and broken chords."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .score import Note, Section
from .theme import MusicTheme
from .theory import chord_steps, pitch

RING_BEATS = 64.0
"""Maximum length of ending notes; the end of the piece cuts them."""


def bars(plan: tuple[Section, ...]) -> Iterator[tuple[Section, int, int]]:
    """Yield (section, bar, degree of the chord) for every bar."""
    for section in plan:
        for index in range(section.stop_bar - section.start_bar):
            yield section, section.start_bar + index, section.chords[index % len(section.chords)]


def lead_voices(before: tuple[int, ...], wanted: list[int], low: int, high: int) -> tuple[int, ...]:
    """Place the notes of a chord (any octave) between two pitches, each as close as possible to the previous chord."""
    centre = sum(before) / len(before) if before else (low + high) / 2
    voices = []
    for index, each in enumerate(wanted):
        goal = before[index] if index < len(before) else centre
        choices = [each % 12 + 12 * octave for octave in range(11) if low <= each % 12 + 12 * octave <= high]
        free = [choice for choice in choices if choice not in voices] or choices
        voices.append(min(free, key=lambda choice: (abs(choice - goal) + 0.2 * abs(choice - centre), choice)))
    return tuple(sorted(voices))


def voicings(
    theme: MusicTheme, plan: tuple[Section, ...], low: int, high: int, size: int
) -> Iterator[tuple[Section, int, tuple[int, ...]]]:
    """Yield (section, bar, pitches) for every bar, with smooth voice leading."""
    before: tuple[int, ...] = ()
    for section, bar, degree in bars(plan):
        steps = chord_steps(degree, 3 if section.name == "ending" else size)
        before = lead_voices(before, [pitch(theme.tonic, theme.mode, step) for step in steps], low, high)
        yield section, bar, before


def pad(theme: MusicTheme, plan: tuple[Section, ...], draw: random.Random) -> list[Note]:
    """Compose chords held for a bar."""
    size = 4 if theme.wonder > 0.2 or draw.random() < 0.4 else 3
    beats, notes = theme.beats_a_bar, []
    for section, bar, chord in voicings(theme, plan, 50, 72, size):
        length = RING_BEATS if section.name == "ending" else beats + 0.25
        loud = 0.45 + 0.35 * section.energy
        notes += [Note(bar * beats, length, each, loud) for each in chord]
    return notes


def bass(theme: MusicTheme, plan: tuple[Section, ...], draw: random.Random) -> list[Note]:
    """Compose roots, with fifths and octaves at higher energy; silent in the introduction of longer pieces."""
    beats, notes = theme.beats_a_bar, []
    pattern = draw.choice(("root-fifth", "octave", "walk-up"))
    for section, bar, degree in bars(plan):
        start = bar * beats
        root = pitch(theme.tonic, theme.mode, degree, 2)
        root -= 12 if root > 47 else 0
        fifth = pitch(theme.tonic, theme.mode, degree + 4, 2)
        fifth -= 12 if fifth > 52 else 0
        if section.name == "ending":
            notes.append(Note(start, RING_BEATS, root, 0.7))
        elif section.name == "intro" and bar - section.start_bar < 2:
            continue
        elif section.energy < 0.35:
            notes.append(Note(start, beats, root, 0.6))
        elif section.energy < 0.62:
            notes.append(Note(start, beats / 2, root, 0.7))
            second = {"root-fifth": fifth, "octave": root, "walk-up": fifth}[pattern]
            notes.append(Note(start + beats / 2, beats / 2, second, 0.6))
        else:
            for eighth in range(2 * beats):
                each = root + 12 if pattern == "octave" and eighth % 2 else root
                each = fifth if pattern != "octave" and eighth >= 2 * beats - 2 else each
                notes.append(Note(start + eighth / 2, 0.45, each, 0.75 if eighth % 2 == 0 else 0.6))
    return notes


_FIGURES = ((0, 1, 2, 1), (0, 2, 1, 2), (0, 1, 2, 3), (3, 2, 1, 0), (0, 2, 3, 2), (0, 3, 1, 2))


def keys(theme: MusicTheme, plan: tuple[Section, ...], draw: random.Random) -> list[Note]:
    """Compose broken chords, with one figure per section; block chords in calm sections."""
    beats, notes = theme.beats_a_bar, []
    figures = {name: draw.choice(_FIGURES) for name in ("intro", "A", "B", "C", "rest", "close")}
    for section, bar, chord in voicings(theme, plan, 55, 79, 4):
        start = bar * beats
        figure = figures.get(section.name if section.name in figures else section.name[0], _FIGURES[0])
        loud = 0.4 + 0.35 * section.energy
        if section.name == "ending":
            notes += [Note(start + 0.0625 * index, RING_BEATS, each, loud) for index, each in enumerate(chord)]
            continue
        steps_a_beat = 1 if theme.density < 0.3 or section.energy < 0.2 else 2 if section.energy < 0.85 else 4
        if steps_a_beat == 1:
            notes += [Note(start, beats, chord[0], loud), Note(start, beats, chord[2], loud * 0.9)]
        for step in range(steps_a_beat * beats):
            if steps_a_beat == 1 and step == 0:
                continue
            if step and draw.random() > 0.55 + 0.5 * theme.density:
                continue
            each = chord[figure[step % 4] % len(chord)] + (12 if step % 8 == 6 and section.energy > 0.6 else 0)
            accent = 1.0 if step % steps_a_beat == 0 else 0.8
            length = 1.6 / steps_a_beat
            notes.append(Note(start + step / steps_a_beat, length, each, loud * accent * draw.uniform(0.92, 1.0)))
    return notes
