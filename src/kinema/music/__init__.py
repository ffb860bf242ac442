"""Music for clips: a composer and a synthesiser without weights, MusicGen, loudness, crossfades.

    from kinema import music

    track = music.make("calm, 90 bpm", seconds=60, seed=3)  # a Track: samples at 48 kHz, tempo, details
    music.save(track, "bed.m4a")
    music.put_under("clip.mp4", "scored.mp4", "a tense storm at night")

The composer's music is labelled "procedural". Legend: S samples, C channels (2: left, right).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_WHERE = {
    "Track": "track", "check": "produce", "make": "produce", "save": "track", "compose": "composer", "render": "synth",
    "read_theme": "theme", "put_under": "clip", "join": "crossfade", "join_all": "crossfade", "measure": "loudness",
    "normalise": "loudness",
}  # fmt: skip

__all__ = [
    "Track", "check", "compose", "join", "join_all", "make", "measure", "normalise", "put_under", "read_theme",
    "render", "save",
]  # fmt: skip

if TYPE_CHECKING:
    from .clip import put_under
    from .composer import compose
    from .crossfade import join, join_all
    from .loudness import measure, normalise
    from .produce import check, make
    from .synth import render
    from .theme import read_theme
    from .track import Track, save


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'kinema.music' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
