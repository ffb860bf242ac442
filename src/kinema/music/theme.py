"""Derive mode, key, tempo and instruments from words, such as "calm, 90 bpm" or "a tense storm at night"."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from ..core.errors import RequestError
from .moods import INSTRUMENTS, MOODS
from .theory import MODE_WORDS, TONICS

BPM = (40, 220)
_NAMED_KEY = re.compile(
    r"\b(?:in\s+)?([A-Ga-g])([#b]|-sharp|-flat| sharp| flat)?[\s-]+"
    r"(harmonic minor|major|minor|ionian|dorian|phrygian|lydian|mixolydian|aeolian)\b"
)


@dataclass(frozen=True)
class MusicTheme:
    """The parameters of a piece. joy, energy, tension, wonder: -1 to 1. bpm_fixed: the words name the tempo, so it is
    kept exactly. instruments: role to name; missing roles do not play. density: of the notes, 0 to 1."""

    words: str
    joy: float
    energy: float
    tension: float
    wonder: float
    mode: str
    tonic: int
    bpm: float
    bpm_fixed: bool
    beats_a_bar: int
    density: float
    instruments: dict[str, str]


def read_theme(words: str, seed: int) -> MusicTheme:
    """Parse the words. Unspecified parameters are drawn from the words and the seed. RequestError for empty words and
    for a tempo outside 40 to 220 bpm."""
    if not words.strip():
        raise RequestError("The theme is empty.", field="theme", value=words, legal='words, as "calm, 90 bpm"')
    lower = words.lower()
    draw = random.Random(f"theme/{seed}/{lower}")
    joy, energy, tension, wonder = _mood(lower, draw)
    bpm, fixed = _tempo(lower, energy, draw)
    tonic, mode = _key(words, joy, tension, wonder, draw)
    return MusicTheme(
        words, joy, energy, tension, wonder, mode, tonic, bpm, fixed,
        beats_a_bar=3 if re.search(r"\b(waltz|3/4)\b", lower) else 4,
        density=min(1.0, max(0.1, 0.5 + 0.4 * energy + draw.uniform(-0.1, 0.1))),
        instruments=_instruments(lower, joy, energy, tension, wonder, draw),
    )  # fmt: skip


def _mood(lower: str, draw: random.Random) -> tuple[float, ...]:
    """The mean of the named moods, weighted towards the strongest; a mild random one for unknown words."""
    found = [MOODS[word] for word in re.findall(r"[a-z]+", lower) if word in MOODS]
    if not found:
        found = [(draw.uniform(-0.1, 0.6), draw.uniform(-0.4, 0.4), draw.uniform(-0.4, 0.1), draw.uniform(-0.1, 0.6))]
    return tuple(max(-1.0, min(1.0, 0.7 * sum(axis) / len(axis) + 0.3 * max(axis, key=abs))) for axis in zip(*found))


def _tempo(lower: str, energy: float, draw: random.Random) -> tuple[float, bool]:
    named = re.search(r"(-?\d+(?:\.\d+)?)\s*bpm\b", lower)
    if named:
        bpm = float(named[1])
        if not BPM[0] <= bpm <= BPM[1]:
            nearest = min(max(bpm, BPM[0]), BPM[1])
            legal = f"{BPM[0]} to {BPM[1]} beats per minute"
            message = f"The tempo {bpm:g} bpm is out of range."
            raise RequestError(message, field="theme", value=bpm, legal=legal, nearest=f"{nearest:g} bpm")
        return bpm, True
    return float(round(96 + 40 * energy + draw.uniform(-6, 6))), False


def _key(words: str, joy: float, tension: float, wonder: float, draw: random.Random) -> tuple[int, str]:
    named = _NAMED_KEY.search(words)
    if named:
        sign = {"#": 1, "-sharp": 1, " sharp": 1, "b": -1, "-flat": -1, " flat": -1}.get(named[2] or "", 0)
        return (TONICS[named[1].lower()] + sign) % 12, MODE_WORDS[named[3].lower()]
    lower = words.lower()
    mode = next((MODE_WORDS[word] for word in MODE_WORDS if re.search(rf"\b{word}\b", lower)), None)
    if mode is None:
        if joy > 0.25:
            mode = draw.choice(("lydian", "ionian") if wonder > 0.4 else ("ionian", "ionian", "mixolydian"))
        elif tension > 0.6:
            mode = draw.choice(("phrygian", "harmonic-minor"))
        elif joy < -0.1:
            mode = draw.choice(("aeolian", "aeolian", "harmonic-minor") if tension > 0.3 else ("aeolian", "dorian"))
        else:
            mode = draw.choice(("dorian", "lydian") if wonder > 0.3 else ("dorian", "mixolydian", "ionian"))
    return draw.randrange(12), mode


def _instruments(
    lower: str, joy: float, energy: float, tension: float, wonder: float, draw: random.Random
) -> dict[str, str]:
    pads = (
        ("strings", "warm-pad")
        if tension > 0.3 or energy > 0.4
        else ("warm-pad", "choir" if wonder > 0.5 else "warm-pad")
    )
    keys = ("harp", "electric-piano") if wonder > 0.4 else ("piano", "guitar", "electric-piano", "marimba")
    if tension > 0.4:
        keys = ("piano", "harp")
    leads = (
        ("bells", "flute") if wonder > 0.4 else ("violin", "synth") if tension > 0.3 else ("flute", "synth", "bells")
    )
    chosen = {"pad": draw.choice(pads), "bass": "bass", "keys": draw.choice(keys), "lead": draw.choice(leads)}
    if re.search(r"\b(electronic|techno|robot|dance)\b", lower):
        chosen |= {"pad": "warm-pad", "lead": "synth"}
    if energy > -0.25:
        chosen["drums"] = "drums"
    if re.search(r"\b(ambient|meditation|sleepy)\b", lower):
        chosen.pop("drums", None)
    for word, (role, name) in INSTRUMENTS.items():
        if re.search(rf"\b(?:no|without)\s+(?:\w+\s+or\s+)?{word}\b", lower):
            chosen.pop(role, None)
        elif re.search(rf"\b{word}\b", lower):
            chosen[role] = name or chosen.get(role, "piano")
    if solo := re.search(r"\b(?:solo|only)\s+(\w+)|\b(\w+)\s+(?:solo|only)\b", lower):
        word = solo[1] or solo[2]
        if word in INSTRUMENTS and INSTRUMENTS[word][1] not in ("", "drums"):
            chosen = {"keys": INSTRUMENTS[word][1], "lead": INSTRUMENTS[word][1]}
    return chosen
