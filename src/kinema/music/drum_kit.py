"""Synthesise drums from sines and noise. Each drum is computed once."""

from __future__ import annotations

import functools

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from . import rhythm


@functools.cache
def hit(key: int) -> np.ndarray:
    """One stroke at full loudness, float32 (2, S). Keys without a drum sound as the shaker."""
    if key == rhythm.KICK:
        sound_S = _sweep(0.45, 120, 48, 0.03, 0.13) + 0.2 * _noise(0.45, 1, 0.004, 8_000)
    elif key == rhythm.SNARE:
        sound_S = 0.5 * _sweep(0.3, 240, 185, 0.02, 0.06) + 0.55 * _noise(0.3, 2, 0.085, 9_000, 900)
    elif key in (rhythm.LOW_TOM, rhythm.HIGH_TOM):
        low = 95 if key == rhythm.LOW_TOM else 150
        sound_S = 0.8 * _sweep(0.5, 1.5 * low, low, 0.04, 0.14) + 0.05 * _noise(0.5, 3, 0.03, 4_000)
    elif key == rhythm.HAT:
        sound_S = 0.5 * _noise(0.12, 4, 0.022, 16_000, 6_500)
    elif key == rhythm.OPEN_HAT:
        sound_S = 0.45 * _noise(0.5, 5, 0.13, 16_000, 6_000)
    elif key == rhythm.CRASH:
        sound_S = 0.5 * _noise(2.2, 6, 0.55, 15_000, 3_000)
    else:
        sound_S = 0.35 * _noise(0.14, 7, 0.035, 12_000, 5_000)
        rise = round(0.012 * AUDIO_RATE_HZ)
        sound_S[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    fade = len(sound_S) // 5
    sound_S[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.stack([sound_S, sound_S]).astype(np.float32)


def _time(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * AUDIO_RATE_HZ)) / AUDIO_RATE_HZ


def _sweep(seconds: float, from_hz: float, to_hz: float, fall_s: float, decay_s: float) -> np.ndarray:
    """A sine that falls from one frequency to another."""
    time_S = _time(seconds)
    hz_S = to_hz + (from_hz - to_hz) * np.exp(-time_S / fall_s)
    cycles_S = np.cumsum(hz_S) / AUDIO_RATE_HZ
    return (np.sin(2 * np.pi * cycles_S) * np.exp(-time_S / decay_s)).astype(np.float32)


def _noise(seconds: float, seed: int, decay_s: float, high_hz: float, low_hz: float = 0.0) -> np.ndarray:
    """Decaying noise between two frequencies; peak about 1."""
    time_S = _time(seconds)
    noise_S = np.random.default_rng(seed).standard_normal(len(time_S))
    bins = np.fft.rfft(noise_S)
    hz = np.fft.rfftfreq(len(time_S), 1 / AUDIO_RATE_HZ)
    bins *= 1 / (1 + (hz / high_hz) ** 8) * (1 - 1 / (1 + (hz / max(low_hz, 1e-3)) ** 6))
    noise_S = np.fft.irfft(bins, len(time_S))
    return (noise_S / (3 * noise_S.std()) * np.exp(-time_S / decay_s)).astype(np.float32)
