"""Filter sound with a finite impulse response in blocks: fast for long sounds, with memory for one block."""

from __future__ import annotations

import numpy as np


def convolve(sound_S: np.ndarray, taps_K: np.ndarray) -> np.ndarray:
    """The full convolution, length S + K - 1, in the sound's dtype, by overlap-add of real FFTs."""
    num_taps = len(taps_K)
    size = 1 << max(14, (4 * num_taps - 1).bit_length())
    step = size - num_taps + 1
    response = np.fft.rfft(taps_K.astype(sound_S.dtype), size)
    out = np.zeros(len(sound_S) + num_taps - 1, sound_S.dtype)
    for start in range(0, len(sound_S), step):
        block = np.fft.irfft(np.fft.rfft(sound_S[start : start + step], size) * response, size)
        stop = min(start + size, len(out))
        out[start:stop] += block[: stop - start]
    return out


def centred(sound_S: np.ndarray, taps_K: np.ndarray) -> np.ndarray:
    """The convolution with an odd number of taps centred on each sample: length S, no delay."""
    half = len(taps_K) // 2
    return convolve(sound_S, taps_K)[half : half + len(sound_S)]
