"""A look-ahead true-peak limiter.

The required gain follows from the true peaks (four times oversampled); its minimum over 6 ms, smoothed by a window of
the same 6 ms, never exceeds the gain that a peak requires, and changes without clicks.
"""

from __future__ import annotations

import functools

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from .convolve import centred

_HALF = round(0.003 * AUDIO_RATE_HZ)
_TAPS_A_SIDE, _OVERSAMPLING = 16, 4


def limit(samples_SC: np.ndarray, ceiling_dbtp: float) -> np.ndarray:
    """Limit the true peaks of a sound to the ceiling; returns float32. All channels get the same gain. Sound below the
    ceiling is returned unchanged."""
    ceiling = 10 ** (ceiling_dbtp / 20)
    out_SC = samples_SC.astype(np.float32)
    for attempt in range(4):  # a changing gain moves the peaks between samples; two passes are nearly always enough
        envelope_S = np.max([true_peak_envelope(channel_S) for channel_S in out_SC.T], axis=0)
        if envelope_S.max(initial=0.0) <= ceiling:
            break
        if attempt == 3:  # the rest is below 0.1 dB: one gain for the whole sound
            return out_SC * np.float32(ceiling / envelope_S.max())
        needed_S = np.minimum(1.0, 0.998 * ceiling / np.maximum(envelope_S, 1e-9))
        window_K = np.hanning(2 * _HALF + 3)[1:-1]
        gain_S = centred(lowest_around(np.pad(needed_S, _HALF, mode="edge"), _HALF), window_K / window_K.sum())
        out_SC = out_SC * gain_S[_HALF:-_HALF, None].astype(np.float32)
    return out_SC


def lowest_around(values_S: np.ndarray, half: int) -> np.ndarray:
    """The minimum over `half` values on both sides of each, by doubling windows: the cost grows with log(half)."""
    width, run, out = 2 * half + 1, 1, np.pad(values_S, half, mode="edge")
    while 2 * run <= width:
        out = np.minimum(out[:-run], out[run:])
        run *= 2
    if run < width:
        out = np.minimum(out[: len(out) - (width - run)], out[width - run :])
    return out


def true_peak_envelope(channel_S: np.ndarray) -> np.ndarray:
    """The largest absolute value of each sample and the three interpolated points up to the next one (windowed sinc of
    32 taps)."""
    sound_S = channel_S.astype(np.float32)
    highest_S = np.abs(sound_S)
    for taps_K in _between():
        np.maximum(highest_S, np.abs(centred(sound_S, taps_K)), out=highest_S)
    return highest_S


@functools.cache
def _between() -> tuple[np.ndarray, ...]:
    """The taps (an odd number) that interpolate 1/4, 2/4 and 3/4 of a sample after each sample."""
    offsets_K = np.arange(-_TAPS_A_SIDE, _TAPS_A_SIDE + 1)
    found = []
    for part in range(1, _OVERSAMPLING):
        distance_K = offsets_K + part / _OVERSAMPLING  # convolution: tap k weights the sample k earlier
        window_K = np.cos(0.5 * np.pi * np.clip(distance_K / (_TAPS_A_SIDE + 1), -1, 1)) ** 2
        taps_K = np.sinc(distance_K) * window_K
        found.append(taps_K / taps_K.sum())
    return tuple(found)
