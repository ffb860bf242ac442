"""make: music from words, by the composer, at its loudness."""

from __future__ import annotations

import random
from pathlib import Path

from kinema.core.events import OnEvent, ignore
from kinema.music import soundfont
from kinema.music.composer import check_seconds, check_seed, compose
from kinema.music.loudness import CEILING_DBTP, TARGET_LUFS, normalise
from kinema.music.synth import render
from kinema.music.track import Track


def make(
    words: str,
    seconds: float = 60.0,
    seed: int | None = None,
    *,
    sound: str = "auto",
    target_lufs: float = TARGET_LUFS,
    on_event: OnEvent = ignore,
) -> Track:
    """Music that lasts `seconds` exactly, at -16 LUFS and at most -1.5 dBTP.

    words: the theme. seed: None draws one (it is in `Track.made`). sound: what plays the score: "own", "auto"
    (FluidSynth where it and a soundfont are installed, else own), or a soundfont file. Raises RequestError before
    work starts.
    """
    check_seconds(seconds)
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    check_seed(seed)
    font = soundfont.choose(sound)
    score = compose(words, seconds, seed)
    samples_SC = render(score, on_event) if font is None else soundfont.render(score, font, on_event)
    samples_SC, level = normalise(samples_SC, target_lufs, CEILING_DBTP)
    made = {**score.to_dict(), "sound": "own" if font is None else Path(font).name}
    return Track(samples_SC, True, made, bpm=score.bpm, bar_s=score.bar_s, level=level)
