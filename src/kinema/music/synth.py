"""render: play a score with the built-in synthesiser, in numpy, at 48 kHz stereo.

Equal notes are computed once. Legend: S samples; arrays are (2, S) inside and (S, 2) at the edges.
"""

from __future__ import annotations

import functools
import time

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from ..core.events import OnEvent, Progress, ignore
from .convolve import convolve
from .crossfade import falling
from .drum_kit import hit
from .score import Note, Part, Score
from .voices import play

_CACHED_SAMPLES = 40_000_000
"""Maximum number of samples in the cache of notes (320 MB)."""


def render(score: Score, on_event: OnEvent = ignore) -> np.ndarray:
    """Render a score: float32, shape (S, 2), S = round(seconds * 48000), not normalised, faded out at the end of the
    last bar. `on_event` is called for each part and may raise to stop."""
    started, num = time.perf_counter(), round(score.seconds * AUDIO_RATE_HZ)
    dry_2S, wet_2S = np.zeros((2, num), np.float32), np.zeros((2, num), np.float32)
    total = len(score.parts) + 1
    for done, part in enumerate(score.parts):
        on_event(Progress("compose", done, total, time.perf_counter() - started))
        sound_2S = render_part(score, part, num)
        dry_2S += sound_2S
        wet_2S += np.float32(part.wet) * sound_2S
    on_event(Progress("compose", total - 1, total, time.perf_counter() - started))
    for side in range(2):
        dry_2S[side] += convolve(wet_2S[side], room(side))[:num]
    dry_2S *= fade_out(num, score)
    on_event(Progress("compose", total, total, time.perf_counter() - started))
    return np.ascontiguousarray(dry_2S.T)


def render_part(score: Score, part: Part, num: int) -> np.ndarray:
    """Render one part, dry, at its gain, with equal-power panning: float32 (2, num)."""
    out_2S = np.zeros((2, num), np.float32)
    angle = (part.pan + 1) * np.pi / 4
    gains_2 = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32) * np.float32(
        np.sqrt(2) * 10 ** (part.gain_db / 20)
    )
    cache: dict[tuple[int, int], np.ndarray] = {}
    cached = 0
    for note in part.notes:
        start = round(score.second(note.start) * AUDIO_RATE_HZ)
        if start >= num:
            continue
        key = (note.pitch, held(score, note))
        sound_2S = cache.get(key)
        if sound_2S is None:
            sound_2S = gains_2 * (hit(note.pitch) if part.role == "drums" else play(part.instrument, *key, num - start))
            # notes that the end of the piece cuts are shorter than equal notes elsewhere
            if cached + sound_2S.size < _CACHED_SAMPLES and start + sound_2S.shape[1] < num:
                cache[key], cached = sound_2S, cached + sound_2S.size
        stop = min(num, start + sound_2S.shape[1])
        out_2S[:, start:stop] += sound_2S[:, : stop - start] * np.float32(note.loud**1.5)
    return out_2S


def held(score: Score, note: Note) -> int:
    """The number of samples that a note is held."""
    return max(1, round(score.second(note.beats) * AUDIO_RATE_HZ))


@functools.cache
def room(side: int) -> np.ndarray:
    """The impulse response of a room with 1.8 s of reverb, for one side: decaying noise, treble first, of unit
    energy."""
    num = round(1.8 * AUDIO_RATE_HZ)
    time_S = np.arange(num) / AUDIO_RATE_HZ
    noise = np.random.default_rng(11 + side)
    out_S = np.zeros(num)
    hz = np.fft.rfftfreq(num, 1 / AUDIO_RATE_HZ)
    for low, high, decay_s in ((120, 900, 0.38), (900, 3500, 0.28), (3500, 9000, 0.16)):
        bins = np.fft.rfft(noise.standard_normal(num)) / (1 + (hz / high) ** 6) * (1 - 1 / (1 + (hz / low) ** 6))
        out_S += np.fft.irfft(bins, num) * np.exp(-time_S / decay_s)
    out_S[: round(0.012 * AUDIO_RATE_HZ)] = 0  # the first reflection travels four metres
    return (out_S / np.sqrt(np.sum(out_S**2))).astype(np.float32)


def fade_out(num: int, score: Score) -> np.ndarray:
    """The gains of the fade-out: half a cosine to exactly 0 over the last three quarters of the ending, at most 5 s."""
    ending_s = score.seconds - score.second(score.sections[-1].start_bar * score.beats_a_bar)
    length = min(num, max(1, round(min(5.0, 0.75 * ending_s) * AUDIO_RATE_HZ)))
    gains_S = np.ones(num, np.float32)
    gains_S[num - length :] = falling(length)
    return gains_S
