"""Scales, keys and chord progressions of the composer."""

from __future__ import annotations

SCALES = {
    "ionian": (0, 2, 4, 5, 7, 9, 11), "dorian": (0, 2, 3, 5, 7, 9, 10), "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11), "mixolydian": (0, 2, 4, 5, 7, 9, 10), "aeolian": (0, 2, 3, 5, 7, 8, 10),
    "harmonic-minor": (0, 2, 3, 5, 7, 8, 11),
}  # fmt: skip
"""Semitones above the tonic."""
MODE_WORDS = {
    "major": "ionian",
    "minor": "aeolian",
    "harmonic minor": "harmonic-minor",
    **{name: name for name in SCALES},
}
NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
TONICS = {name.lower(): index for index, name in enumerate(NAMES)} | {
    "db": 1, "d#": 3, "gb": 6, "g#": 8, "a#": 10, "cb": 11, "e#": 5, "fb": 4, "b#": 0,
}  # fmt: skip

PROGRESSIONS = {
    "ionian": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (5, 3, 0, 4), (0, 2, 3, 4)),
    "dorian": ((0, 3, 0, 3), (0, 2, 3, 0), (0, 6, 3, 0), (0, 1, 2, 3)),
    "phrygian": ((0, 1, 0, 6), (0, 1, 2, 1), (0, 5, 1, 0), (0, 3, 1, 0)),
    "lydian": ((0, 1, 0, 1), (0, 1, 4, 0), (0, 4, 1, 5), (0, 2, 1, 0)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 3), (0, 6, 0, 3), (0, 4, 6, 3)),
    "aeolian": ((0, 5, 2, 6), (0, 3, 5, 6), (0, 6, 5, 6), (0, 2, 6, 3), (0, 5, 3, 4)),
    "harmonic-minor": ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 4), (0, 1, 4, 0)),
}
"""Progressions of four chords, by the degree of their root (0: the tonic chord); all notes belong to the scale."""
CONTRASTS = {
    "ionian": ((3, 4, 5, 5), (5, 2, 3, 4)), "dorian": ((3, 2, 6, 3), (2, 6, 3, 6)),
    "phrygian": ((5, 6, 1, 1), (3, 2, 1, 1)), "lydian": ((5, 2, 1, 1), (4, 5, 1, 1)),
    "mixolydian": ((3, 0, 6, 4), (1, 3, 6, 6)), "aeolian": ((5, 6, 3, 4), (2, 6, 5, 4)),
    "harmonic-minor": ((5, 3, 4, 4), (3, 0, 5, 4)),
}  # fmt: skip
"""Progressions for the middle part: they start away from the tonic and lead back to it."""


def pitch(tonic: int, mode: str, step: int, octave: int = 4) -> int:
    """The MIDI number of a scale step from the tonic of an octave; steps below 0 and above 6 are in other octaves."""
    scale = SCALES[mode]
    return 12 * (octave + 1) + tonic + 12 * (step // 7) + scale[step % 7]


def chord_steps(degree: int, size: int = 3) -> tuple[int, ...]:
    """Stacked thirds on a degree, as scale steps: 3 notes, 4 with the seventh, 5 with the ninth."""
    return tuple(degree + 2 * index for index in range(size))
