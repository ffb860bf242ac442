"""Words and their moods, (joy, energy, tension, wonder) from -1 to 1, and their instruments."""

from __future__ import annotations

MOODS: dict[str, tuple[float, float, float, float]] = {
    "calm": (0.2, -0.7, -0.6, 0.1), "peaceful": (0.4, -0.7, -0.7, 0.1), "quiet": (0.0, -0.7, -0.3, 0.1),
    "gentle": (0.3, -0.6, -0.5, 0.0), "soft": (0.2, -0.6, -0.4, 0.0), "slow": (0.0, -0.7, -0.1, 0.0),
    "relaxing": (0.3, -0.7, -0.7, 0.1), "sleepy": (0.2, -0.9, -0.5, 0.2), "lullaby": (0.4, -0.8, -0.6, 0.2),
    "ambient": (0.0, -0.7, -0.2, 0.6), "meditation": (0.1, -0.9, -0.6, 0.4), "dreamy": (0.2, -0.5, -0.3, 0.8),
    "dream": (0.2, -0.5, -0.2, 0.8), "morning": (0.6, -0.2, -0.4, 0.2), "sunrise": (0.7, -0.1, -0.3, 0.5),
    "happy": (0.9, 0.4, -0.5, 0.0), "joyful": (1.0, 0.5, -0.5, 0.0), "cheerful": (0.9, 0.4, -0.5, 0.0),
    "sunny": (0.9, 0.2, -0.6, 0.0), "bright": (0.8, 0.2, -0.4, 0.1), "playful": (0.8, 0.4, -0.2, 0.2),
    "funny": (0.8, 0.4, -0.1, 0.1), "comedy": (0.8, 0.4, -0.1, 0.1), "cute": (0.8, 0.1, -0.4, 0.2),
    "summer": (0.8, 0.3, -0.5, 0.0), "meadow": (0.7, -0.2, -0.5, 0.1), "garden": (0.6, -0.3, -0.5, 0.1),
    "hopeful": (0.6, 0.1, -0.1, 0.3), "hope": (0.6, 0.1, -0.1, 0.3), "uplifting": (0.9, 0.4, -0.1, 0.3),
    "warm": (0.5, -0.2, -0.4, 0.0), "love": (0.5, -0.3, -0.2, 0.2), "romantic": (0.4, -0.3, -0.1, 0.2),
    "sad": (-0.8, -0.5, 0.1, 0.0), "melancholy": (-0.7, -0.5, 0.1, 0.2), "melancholic": (-0.7, -0.5, 0.1, 0.2),
    "lonely": (-0.7, -0.6, 0.1, 0.2), "rain": (-0.4, -0.3, 0.1, 0.1), "rainy": (-0.4, -0.3, 0.1, 0.1),
    "autumn": (-0.3, -0.3, 0.0, 0.1), "winter": (-0.2, -0.4, 0.0, 0.4), "snow": (0.0, -0.5, -0.2, 0.5),
    "tense": (-0.6, 0.3, 0.9, 0.0), "tension": (-0.6, 0.3, 0.9, 0.0), "storm": (-0.5, 0.8, 0.8, 0.1),
    "thunder": (-0.5, 0.8, 0.8, 0.1), "dark": (-0.8, 0.0, 0.7, 0.1), "scary": (-0.8, 0.2, 1.0, 0.2),
    "horror": (-1.0, 0.1, 1.0, 0.2), "suspense": (-0.6, 0.1, 0.9, 0.2), "danger": (-0.6, 0.6, 0.9, 0.0),
    "chase": (-0.3, 0.9, 0.7, 0.0), "war": (-0.7, 0.8, 0.8, 0.0), "battle": (-0.4, 0.9, 0.7, 0.1),
    "epic": (0.0, 0.8, 0.4, 0.5), "heroic": (0.5, 0.7, 0.1, 0.3), "adventure": (0.5, 0.6, 0.1, 0.3),
    "trailer": (-0.1, 0.8, 0.5, 0.3), "dramatic": (-0.4, 0.5, 0.6, 0.1), "night": (-0.2, -0.3, 0.2, 0.4),
    "mysterious": (-0.3, -0.1, 0.5, 0.7), "mystery": (-0.3, -0.1, 0.5, 0.7), "space": (0.0, -0.3, 0.1, 1.0),
    "stars": (0.2, -0.4, -0.1, 0.9), "star": (0.2, -0.3, -0.1, 0.7), "magic": (0.4, 0.0, 0.0, 0.9),
    "magical": (0.4, 0.0, 0.0, 0.9), "wonder": (0.5, 0.0, -0.1, 1.0), "underwater": (0.0, -0.4, 0.1, 0.8),
    "sea": (0.2, -0.2, -0.1, 0.4), "ocean": (0.1, -0.1, 0.0, 0.5), "forest": (0.1, -0.3, 0.0, 0.4),
    "mountain": (0.3, 0.1, 0.0, 0.5), "sunset": (0.2, -0.3, -0.3, 0.4), "desert": (-0.2, -0.1, 0.3, 0.3),
    "city": (0.2, 0.4, 0.1, 0.0), "fast": (0.2, 0.9, 0.1, 0.0), "energetic": (0.5, 0.9, 0.0, 0.0),
    "upbeat": (0.8, 0.7, -0.3, 0.0), "dance": (0.6, 0.9, 0.0, 0.0), "party": (0.8, 0.9, -0.1, 0.0),
    "electronic": (0.1, 0.6, 0.1, 0.3), "techno": (0.0, 1.0, 0.3, 0.2), "rock": (0.2, 0.8, 0.3, 0.0),
    "race": (0.3, 0.9, 0.2, 0.0), "sport": (0.6, 0.8, 0.0, 0.0), "action": (0.0, 0.9, 0.5, 0.0),
    "jazz": (0.3, 0.1, 0.0, 0.1), "lounge": (0.3, -0.3, -0.4, 0.1), "news": (0.2, 0.5, 0.2, 0.0),
    "documentary": (0.2, -0.1, 0.0, 0.3), "science": (0.1, 0.1, 0.1, 0.6), "robot": (0.0, 0.4, 0.2, 0.4),
    "waltz": (0.4, 0.0, -0.2, 0.2), "march": (0.4, 0.5, 0.1, 0.0), "nostalgic": (0.0, -0.3, -0.1, 0.3),
}  # fmt: skip

INSTRUMENTS: dict[str, tuple[str, str]] = {
    "piano": ("keys", "piano"), "keys": ("keys", "electric-piano"), "guitar": ("keys", "guitar"),
    "harp": ("keys", "harp"), "marimba": ("keys", "marimba"), "bells": ("lead", "bells"), "bell": ("lead", "bells"),
    "flute": ("lead", "flute"), "whistle": ("lead", "flute"), "violin": ("lead", "violin"), "synth": ("lead", "synth"),
    "strings": ("pad", "strings"), "orchestra": ("pad", "strings"), "orchestral": ("pad", "strings"),
    "choir": ("pad", "choir"), "organ": ("pad", "organ"), "pad": ("pad", "warm-pad"), "bass": ("bass", "bass"),
    "drums": ("drums", "drums"), "percussion": ("drums", "drums"), "beat": ("drums", "drums"),
    "melody": ("lead", ""), "lead": ("lead", ""), "chords": ("keys", ""),
}  # fmt: skip
"""Word to (role, instrument); "" leaves the instrument to the composer."""
