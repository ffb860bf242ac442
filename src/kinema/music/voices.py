"""Instruments as wavetables of one cycle: a bright and a dark table, blended by an envelope.

Tables hold only harmonics below 15 kHz at their pitch, which prevents aliasing. Legend: S samples of one note.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ

TABLE_SIZE, HIGHEST_HZ = 16384, 15_000.0
Spectrum = Callable[[np.ndarray, float], np.ndarray]
"""(harmonic numbers from 1, fundamental in Hz) to their amplitudes."""


@dataclass(frozen=True)
class Voice:
    """The parameters of an instrument. attack_s, release_s: rise and fall. decay_s: time to fall to 1/e while held, at
    middle C (0: sustained). dim_s: time of the transition from the bright table to the dark one (0: slow alternation).
    detune_cents: detuning of the left and right side. vibrato_cents; breath: noise in the tone. gain: balances
    voices."""

    bright: Spectrum
    dark: Spectrum
    attack_s: float
    release_s: float
    decay_s: float = 0.0
    dim_s: float = 0.0
    detune_cents: float = 0.0
    vibrato_cents: float = 0.0
    breath: float = 0.0
    gain: float = 1.0


def _power(exponent: float, fall: float = 1e9) -> Spectrum:
    return lambda k, _hz: k**-exponent * np.exp(-k / fall)


def _listed(*amplitudes: float) -> Spectrum:
    return lambda k, _hz: np.array([amplitudes[int(each) - 1] if each <= len(amplitudes) else 0.0 for each in k])


def _plucked(place: float, fall: float) -> Spectrum:
    return lambda k, _hz: np.abs(np.sin(np.pi * k * place)) / k * np.exp(-k / fall)


def _sung(k: np.ndarray, hz: float) -> np.ndarray:
    """An open "ah": formants at 700, 1100 and 2600 Hz."""
    at = k * hz
    formants = sum(gain / (1 + ((at - centre) / width) ** 2) for centre, width, gain in _FORMANTS)
    return (0.15 + formants) / k


_FORMANTS = ((700.0, 130.0, 1.0), (1100.0, 160.0, 0.7), (2600.0, 300.0, 0.25))
_ODD: Spectrum = lambda k, _hz: np.where(k % 2 == 1, 1.0, 0.25) / k * np.exp(-k / 12)  # noqa: E731

VOICES: dict[str, Voice] = {
    "warm-pad": Voice(_power(1.1, 7), _power(2.2), 0.5, 0.9, detune_cents=7, gain=0.8),
    "strings": Voice(_power(1.0, 14), _power(1.6, 8), 0.22, 0.5, detune_cents=9, vibrato_cents=5, gain=0.7),
    "choir": Voice(_sung, _power(1.8), 0.35, 0.6, detune_cents=8, vibrato_cents=9, gain=0.8),
    "organ": Voice(_listed(1, 0.7, 0.35, 0.4, 0, 0.2, 0, 0.25), _listed(1, 0.6, 0.2, 0.2), 0.03, 0.12, detune_cents=2,
                   vibrato_cents=3, gain=0.6),
    "bass": Voice(_listed(1, 0.6, 0.4, 0.25, 0.12, 0.06), _listed(1, 0.3, 0.08), 0.014, 0.09, 1.6, 0.25, gain=1.0),
    "piano": Voice(_power(0.9, 9), _power(2.0, 4), 0.003, 0.16, 1.7, 0.35, detune_cents=1.2, gain=0.9),
    "electric-piano": Voice(_listed(1, 0.25, 0.12, 0.05, 0.02, 0.02, 0.12, 0.1), _listed(1, 0.12, 0.02), 0.004, 0.2,
                            1.6, 0.25, detune_cents=2, gain=0.9),
    "guitar": Voice(_plucked(0.2, 12), _plucked(0.3, 3), 0.002, 0.12, 1.1, 0.22, gain=1.0),
    "harp": Voice(_plucked(0.33, 8), _power(2.5), 0.003, 0.5, 1.3, 0.25, detune_cents=1, gain=1.0),
    "marimba": Voice(_listed(1, 0, 0, 0.45, 0, 0, 0, 0, 0, 0.15), _listed(1), 0.002, 0.2, 0.32, 0.06, gain=1.1),
    "flute": Voice(_listed(1, 0.35, 0.15, 0.06, 0.03), _listed(1, 0.2, 0.04), 0.06, 0.12, vibrato_cents=8, breath=0.03,
                   gain=0.8),
    "violin": Voice(_power(1.0, 12), _power(1.3, 7), 0.09, 0.16, detune_cents=2, vibrato_cents=11, gain=0.6),
    "synth": Voice(_ODD, _power(1.9), 0.012, 0.18, 2.5, 0.5, detune_cents=6, vibrato_cents=3, gain=0.7),
}  # fmt: skip
_BELL = ((1.0, 1.0, 1.0), (2.0, 0.5, 0.7), (2.76, 0.35, 0.45), (4.07, 0.2, 0.3), (5.4, 0.12, 0.18))
"""Partials of "bells": ratio to the fundamental, amplitude, decay relative to the first."""
NAMES = (*VOICES, "bells")


def play(instrument: str, pitch: int, num_held: int, num_most: int) -> np.ndarray:
    """One note at full loudness, float32 (2, S): held for `num_held` samples, then released; at most `num_most`."""
    hz = 440.0 * 2 ** ((pitch - 69) / 12)
    if instrument == "bells":
        return _bell(hz, min(num_most, max(num_held, round(1.2 * AUDIO_RATE_HZ)), 6 * AUDIO_RATE_HZ))
    voice = VOICES[instrument]
    num = min(num_most, num_held + round(voice.release_s * AUDIO_RATE_HZ))
    decay_s = voice.decay_s * 2 ** ((60 - pitch) / 24)
    if decay_s:
        num = min(num, round(7 * decay_s * AUDIO_RATE_HZ))
    time_S = np.arange(num, dtype=np.float32) / np.float32(AUDIO_RATE_HZ)
    loud_S = _envelope(voice, time_S, num_held, decay_s)
    if voice.dim_s:
        bright_S = np.exp(time_S * np.float32(-1 / voice.dim_s))
    else:
        bright_S = np.float32(0.5) - np.float32(0.3) * np.cos(time_S * np.float32(2 * np.pi / 9))
    dark_N, change_N = _tables(instrument, pitch)
    out_2S = np.empty((2, num), np.float32)
    for side, cents in enumerate((-voice.detune_cents, voice.detune_cents)):
        if side and not voice.detune_cents:
            out_2S[1] = out_2S[0]
            break
        index_S = _phase(hz * 2 ** (cents / 1200), num, voice.vibrato_cents, side)
        out_2S[side] = (dark_N[index_S] + change_N[index_S] * bright_S) * loud_S
    if voice.breath:
        noise_S = np.random.default_rng(pitch).standard_normal(num).astype(np.float32)
        out_2S += np.convolve(noise_S, np.ones(6, np.float32) / 6)[:num] * loud_S * np.float32(voice.breath)
    return out_2S


def _phase(hz: float, num: int, vibrato_cents: float, side: int) -> np.ndarray:
    """The table index of each sample, with vibrato at 5.2 Hz that starts after a third of a second."""
    cycles_S = np.arange(num) * (hz / AUDIO_RATE_HZ) + 0.37 * side
    if vibrato_cents:
        time_S = np.arange(num) / AUDIO_RATE_HZ
        depth = hz * (2 ** (vibrato_cents / 1200) - 1) / (2 * np.pi * 5.2)
        cycles_S += depth * np.clip(time_S / 0.35, 0, 1) * np.sin(2 * np.pi * 5.2 * time_S + side)
    return (cycles_S * TABLE_SIZE).astype(np.int64) & (TABLE_SIZE - 1)


def _envelope(voice: Voice, time_S: np.ndarray, num_held: int, decay_s: float) -> np.ndarray:
    num = len(time_S)
    rise = np.float32(max(voice.attack_s, 1e-3))
    loud_S = np.clip(time_S / rise, 0, 1)
    loud_S = loud_S * loud_S * (3 - 2 * loud_S)
    if decay_s:
        loud_S *= np.exp(time_S * np.float32(-1 / decay_s))
    if num > num_held:
        falling = np.exp(-(time_S[num_held:] - time_S[min(num_held, num - 1)]) * np.float32(4 / voice.release_s))
        loud_S[num_held:] *= falling * np.linspace(1, 0, num - num_held, dtype=np.float32)
    return loud_S * np.float32(voice.gain)


@functools.lru_cache(maxsize=512)
def _tables(instrument: str, pitch: int) -> tuple[np.ndarray, np.ndarray]:
    """The tables (dark, bright - dark), each of one cycle; dark and bright have the same power."""
    hz = 440.0 * 2 ** ((pitch - 69) / 12)
    k = np.arange(1, max(2, min(40, int(HIGHEST_HZ / hz)) + 1), dtype=np.float64)
    voice = VOICES[instrument]
    made = []
    for spectrum in (voice.dark, voice.bright):
        amplitudes = spectrum(k, hz)
        bins = np.zeros(TABLE_SIZE // 2 + 1, np.complex128)
        # phases that spread the harmonics keep the peak of the wave low
        bins[1 : len(k) + 1] = amplitudes * np.exp(1j * (k * k * 0.7))
        wave = np.fft.irfft(bins, TABLE_SIZE)
        made.append((wave / np.sqrt(2 * np.mean(wave**2))).astype(np.float32))
    return made[0], made[1] - made[0]


def _bell(hz: float, num: int) -> np.ndarray:
    time_S = np.arange(num, dtype=np.float32) / np.float32(AUDIO_RATE_HZ)
    out_S = np.zeros(num, np.float32)
    for ratio, amplitude, share in _BELL:
        if hz * ratio < HIGHEST_HZ:
            phase_S = (2 * np.pi * ((np.arange(num) * (hz * ratio / AUDIO_RATE_HZ)) % 1.0)).astype(np.float32)
            out_S += np.float32(amplitude) * np.sin(phase_S) * np.exp(time_S * np.float32(-1 / (1.4 * share)))
    out_S *= np.clip(time_S / np.float32(0.002), 0, 1) * np.float32(0.6)
    fade = min(num, 2400)
    out_S[num - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return np.stack([out_S, out_S])
