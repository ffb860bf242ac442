"""render: a score to sound with the own synthesiser: numpy alone, 48 kHz stereo.

Equal notes are made once. Legend: S samples; arrays are (2, S) inside and (S, 2) at the edges.
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
"""Notes kept for reuse, at most this many samples of them (320 MB)."""


def render(score: Score, on_event: OnEvent = ignore) -> np.ndarray:
    """The score as sound: float32, shape (S, 2), S = round(seconds * 48000), not yet at a loudness;
    faded out over the end of the last bar. `on_event` is told of each part, and may raise to stop."""
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
    """One part, dry, panned with equal power and at its gain: float32 (2, num)."""
    out_2S = np.zeros((2, num), np.float32)
    angle = (part.pan + 1) * np.pi / 4
    gains_2 = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32) * np.float32(
        np.sqrt(2) * 10 ** (part.gain_db / 20)
    )
    known: dict[tuple[int, int], np.ndarray] = {}
    kept = 0
    for note in part.notes:
        start = round(score.second(note.start) * AUDIO_RATE_HZ)
        if start >= num:
            continue
        key = (note.pitch, held(score, note))
        sound_2S = known.get(key)
        if sound_2S is None:
            sound_2S = gains_2 * (hit(note.pitch) if part.role == "drums" else play(part.instrument, *key, num - start))
            # a note that the end of the piece cuts is shorter than its like elsewhere
            if kept + sound_2S.size < _CACHED_SAMPLES and start + sound_2S.shape[1] < num:
                known[key], kept = sound_2S, kept + sound_2S.size
        stop = min(num, start + sound_2S.shape[1])
        out_2S[:, start:stop] += sound_2S[:, : stop - start] * np.float32(note.loud**1.5)
    return out_2S


def held(score: Score, note: Note) -> int:
    """Samples that a note is held."""
    return max(1, round(score.second(note.beats) * AUDIO_RATE_HZ))


@functools.cache
def room(side: int) -> np.ndarray:
    """The answer of a room of 1.8 s to a click, for one side: noise that dies away, treble first, unit energy."""
    num = round(1.8 * AUDIO_RATE_HZ)
    time_S = np.arange(num) / AUDIO_RATE_HZ
    noise = np.random.default_rng(11 + side)
    out_S = np.zeros(num)
    hz = np.fft.rfftfreq(num, 1 / AUDIO_RATE_HZ)
    for low, high, decay_s in ((120, 900, 0.38), (900, 3500, 0.28), (3500, 9000, 0.16)):
        bins = np.fft.rfft(noise.standard_normal(num)) / (1 + (hz / high) ** 6) * (1 - 1 / (1 + (hz / low) ** 6))
        out_S += np.fft.irfft(bins, num) * np.exp(-time_S / decay_s)
    out_S[: round(0.012 * AUDIO_RATE_HZ)] = 0  # the first walls are four metres off
    return (out_S / np.sqrt(np.sum(out_S**2))).astype(np.float32)


def fade_out(num: int, score: Score) -> np.ndarray:
    """Gains, ones and then half a cosine to exactly 0 over the last three quarters of the ending, 5 s at most."""
    ending_s = score.seconds - score.second(score.sections[-1].start_bar * score.beats_a_bar)
    length = min(num, max(1, round(min(5.0, 0.75 * ending_s) * AUDIO_RATE_HZ)))
    gains_S = np.ones(num, np.float32)
    gains_S[num - length :] = falling(length)
    return gains_S
