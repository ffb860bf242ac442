"""Plan a piece: the number of bars for its duration, and their sections."""

from __future__ import annotations

import random

from .score import Section
from .theme import MusicTheme
from .theory import CONTRASTS, PROGRESSIONS

_LETTERS = {1: "A", 2: "AA", 3: "ABA", 4: "AABA", 5: "AABAC", 6: "AABACA", 7: "AABAACA", 8: "AABAACBA"}
_BACK = {"phrygian": 1, "lydian": 1, "mixolydian": 6, "dorian": 3}
"""The degree that leads back to the tonic at the close, if it is not the fifth."""
STRETCH = 0.08
"""Maximum change of a tempo that the words do not name, so that the piece ends with a bar."""


def fit_tempo(theme: MusicTheme, seconds: float) -> tuple[float, int]:
    """Return (bpm, number of bars). The last bar is the ending chord, which rings until the end. A tempo that the words
    name is kept, and the rest of the duration extends the last bar; any other is changed by up to 8 % to leave no
    rest."""
    beat_s = 60 / theme.bpm
    bars = seconds / (beat_s * theme.beats_a_bar)
    if theme.bpm_fixed:
        return theme.bpm, max(1, int(bars + 1e-6))
    whole = max(1, round(bars))
    bpm = whole * theme.beats_a_bar * 60 / seconds
    if abs(bpm / theme.bpm - 1) <= STRETCH:
        return bpm, whole
    return theme.bpm, max(1, int(bars + 1e-6))


def sections(theme: MusicTheme, num_bars: int, draw: random.Random) -> tuple[Section, ...]:
    """Plan an introduction, four-bar phrases with repeats and contrasts, a close, and the ending bar. Short pieces have
    fewer of these; a piece of one bar is only the ending."""
    home = draw.choice(PROGRESSIONS[theme.mode])
    away = draw.choice(CONTRASTS[theme.mode])
    other = draw.choice([each for each in PROGRESSIONS[theme.mode] if each != home])
    left = num_bars - 1
    intro = 0 if left < 6 else 2 if left < 14 else 4
    close = 0 if left < 8 else 2
    phrases, rest = divmod(left - intro - close, 4)
    if intro:
        intro, close, rest = intro + rest % 2, close + (rest // 2) * 2, 0
    found: list[Section] = []

    def add(name: str, bars: int, energy: float, chords: tuple[int, ...]) -> None:
        if bars:
            start = found[-1].stop_bar if found else 0
            found.append(Section(name, start, start + bars, min(1.0, max(0.05, energy)), chords))

    base = 0.5 + 0.35 * theme.energy
    add("intro", intro, base - 0.3, home)
    for index, letter in enumerate(_letters(phrases)):
        lift = 0.25 * index / max(1, phrases - 1) if phrases > 1 else 0.1
        calmer = {"A": 0.0, "B": 0.08, "C": -0.2}[letter]
        add(f"{letter}{index + 1}", 4, base + lift + calmer, {"A": home, "B": away, "C": other}[letter])
    add("rest", rest, base, home)
    add("close", close, base - 0.2, (home[-1], _BACK.get(theme.mode, 4)))
    add("ending", 1, base, (0,))
    return tuple(found)


def _letters(phrases: int) -> str:
    if phrases in _LETTERS:
        return _LETTERS[phrases]
    return "".join(_LETTERS[8] for _ in range(phrases // 8)) + _LETTERS.get(phrases % 8, "")
