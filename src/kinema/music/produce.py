"""make: generate music from words with the composer or a model, and normalise its loudness."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from ..core.events import OnEvent, ignore
from . import soundfont
from .composer import check_seconds, check_seed, compose
from .loudness import CEILING_DBTP, TARGET_LUFS, normalise
from .synth import render
from .track import Track


def check(model: str | None = None, melody: Any = None, sound: str = "auto") -> str | None:
    """The soundfont that `make` would use; None for the built-in synthesiser or a model. RequestError and
    WeightsMissing if `make` would refuse the arguments."""
    if model is not None:
        from .musicgen import check as check_model

        check_model(model, melody)
        return None
    if melody is not None:
        from ..core.errors import RequestError

        message = "The composer does not support a melody."
        raise RequestError(message, field="melody", legal="only with a MusicGen melody model")
    return soundfont.choose(sound)


def make(
    words: str,
    seconds: float = 60.0,
    seed: int | None = None,
    *,
    model: str | None = None,
    melody: Any = None,
    sound: str = "auto",
    target_lufs: float = TARGET_LUFS,
    device: str | None = None,
    on_event: OnEvent = ignore,
) -> Track:
    """Generate exactly `seconds` of music at -16 LUFS and at most -1.5 dBTP.

    words: the theme. seed: None draws one (stored in `Track.details`). model: a local MusicGen folder or pulled hub id;
    defaults to the composer. melody: a sound file or samples (S, C) at 48 kHz that guide a melody model. sound: the
    player of the composer's score: "own" (the built-in synthesiser), "auto" (FluidSynth if it and a soundfont are
    installed, else own), or a soundfont file. Raises RequestError and ModelError before work starts.
    """
    check_seconds(seconds)
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    check_seed(seed)
    if model is not None:
        from .musicgen import generate

        return generate(
            words, seconds, seed, model, melody=melody, target_lufs=target_lufs, device=device, on_event=on_event
        )
    font = check(melody=melody, sound=sound)
    score = compose(words, seconds, seed)
    samples_SC = render(score, on_event) if font is None else soundfont.render(score, font, on_event)
    samples_SC, level = normalise(samples_SC, target_lufs, CEILING_DBTP)
    details = {**score.to_dict(), "sound": "own" if font is None else Path(font).name}
    return Track(samples_SC, True, details, bpm=score.bpm, bar_s=score.bar_s, level=level)
