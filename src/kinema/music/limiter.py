"""A limiter that looks ahead and hears between the samples.

The gain that each moment needs is known from the true peaks (four times oversampled); its minimum over 6 ms, smoothed
by a window of the same 6 ms, is never above what any peak needs, and bends without a click.
"""

from __future__ import annotations

import functools

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from .convolve import centred

_HALF = round(0.003 * AUDIO_RATE_HZ)
_TAPS_A_SIDE, _OVERSAMPLING = 16, 4


def limit(samples_SC: np.ndarray, ceiling_dbtp: float) -> np.ndarray:
    """The sound with no true peak above the ceiling, float32; all channels get the same gain. What is below the
    ceiling everywhere comes back as it is."""
    ceiling = 10 ** (ceiling_dbtp / 20)
    out_SC = samples_SC.astype(np.float32)
    for tried in range(4):  # a gain that moves makes new values between the samples: seldom more than a second pass
        envelope_S = np.max([true_peak_envelope(channel_S) for channel_S in out_SC.T], axis=0)
        if envelope_S.max(initial=0.0) <= ceiling:
            break
        if tried == 3:  # what is left is below a tenth of a dB: all of it goes down by that
            return out_SC * np.float32(ceiling / envelope_S.max())
        needed_S = np.minimum(1.0, 0.998 * ceiling / np.maximum(envelope_S, 1e-9))
        window_K = np.hanning(2 * _HALF + 3)[1:-1]
        gain_S = centred(lowest_around(np.pad(needed_S, _HALF, mode="edge"), _HALF), window_K / window_K.sum())
        out_SC = out_SC * gain_S[_HALF:-_HALF, None].astype(np.float32)
    return out_SC


def lowest_around(values_S: np.ndarray, half: int) -> np.ndarray:
    """The minimum of `half` values to both sides of each: doubling runs, so the cost grows with log(half)."""
    width, run, out = 2 * half + 1, 1, np.pad(values_S, half, mode="edge")
    while 2 * run <= width:
        out = np.minimum(out[:-run], out[run:])
        run *= 2
    if run < width:
        out = np.minimum(out[: len(out) - (width - run)], out[width - run :])
    return out


def true_peak_envelope(channel_S: np.ndarray) -> np.ndarray:
    """The largest absolute value around each sample: itself, and the three points to the next one, from a windowed
    sinc of 32 taps."""
    sound_S = channel_S.astype(np.float32)
    highest_S = np.abs(sound_S)
    for taps_K in _between():
        np.maximum(highest_S, np.abs(centred(sound_S, taps_K)), out=highest_S)
    return highest_S


@functools.cache
def _between() -> tuple[np.ndarray, ...]:
    """For each fraction 1/4, 2/4, 3/4 the taps that give the value that far after a sample, an odd number of them."""
    offsets_K = np.arange(-_TAPS_A_SIDE, _TAPS_A_SIDE + 1)
    found = []
    for part in range(1, _OVERSAMPLING):
        distance_K = offsets_K + part / _OVERSAMPLING  # convolution: tap k weighs the sample k before
        window_K = np.cos(0.5 * np.pi * np.clip(distance_K / (_TAPS_A_SIDE + 1), -1, 1)) ** 2
        taps_K = np.sinc(distance_K) * window_K
        found.append(taps_K / taps_K.sum())
    return tuple(found)
