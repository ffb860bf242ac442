"""compose: write a score from words, a duration and a seed. The same three give the same score on every machine."""

from __future__ import annotations

import random
from dataclasses import replace

from ..core.errors import RequestError
from .accompany import bass, keys, pad
from .form import fit_tempo, sections
from .melody import melody
from .rhythm import drums
from .score import Part, Score
from .theme import read_theme

SECONDS = (0.5, 1800.0)
_WRITERS = {"pad": pad, "bass": bass, "keys": keys, "lead": melody, "drums": drums}
_PLACES = {  # pan, gain in dB, share of reverb
    "pad": (0.0, -14.0, 0.45), "bass": (0.0, -7.0, 0.03), "keys": (-0.25, -4.0, 0.25), "lead": (0.2, -5.0, 0.3),
    "drums": (0.0, -4.0, 0.1),
}  # fmt: skip


def check_seconds(seconds: float) -> None:
    """RequestError for a duration out of range."""
    if not SECONDS[0] <= seconds <= SECONDS[1]:
        nearest = SECONDS[0] if not seconds > SECONDS[0] else SECONDS[1]
        legal = f"{SECONDS[0]:g} to {SECONDS[1]:g} seconds"
        message = f"The duration {seconds:g} s is out of range."
        raise RequestError(message, field="seconds", value=seconds, legal=legal, nearest=nearest)


def check_seed(seed: int) -> None:
    """RequestError for a seed out of range."""
    if not 0 <= seed < 2**63:
        raise RequestError(
            f"The seed {seed} is out of range.", field="seed", value=seed, legal="0 to 2**63 - 1",
            nearest=max(0, seed % 2**63),
        )  # fmt: skip


def compose(words: str, seconds: float = 60.0, seed: int = 0) -> Score:
    """Compose a piece of exactly `seconds`. Raises RequestError, before any work, for empty words, a tempo outside 40
    to 220 bpm, a duration outside 0.5 to 1800 s, and an illegal seed."""
    check_seconds(seconds)
    check_seed(seed)
    theme = read_theme(words, seed)
    bpm, num_bars = fit_tempo(theme, seconds)
    theme = replace(theme, bpm=bpm)
    plan = sections(theme, num_bars, random.Random(f"form/{seed}/{words.lower()}"))
    parts = []
    for role, instrument in theme.instruments.items():
        notes = _WRITERS[role](theme, plan, random.Random(f"{role}/{seed}/{words.lower()}"))
        pan, gain_db, wet = _PLACES[role]
        wet = min(0.7, wet * (1.3 if theme.energy < -0.2 else 1.0))
        last_beat = seconds * bpm / 60
        kept = tuple(
            replace(note, beats=min(note.beats, last_beat - note.start))
            for note in sorted(notes, key=lambda note: (note.start, note.pitch))
            if note.start < last_beat
        )
        parts.append(Part(role, instrument, kept, pan, gain_db, wet))
    return Score(words, seed, seconds, bpm, theme.beats_a_bar, theme.tonic, theme.mode, plan, tuple(parts))
