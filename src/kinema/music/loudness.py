"""Loudness and true peak after ITU-R BS.1770-4, and bringing music to a level: -16 LUFS, at most -1.5 dBTP.

The filters of the standard are two short recursions at 48 kHz; their impulse response has died away after 0.2 s, so
they are applied as one finite filter by FFT, which needs numpy alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from kinema.core.chunk import AUDIO_RATE_HZ
from kinema.core.errors import RequestError
from kinema.music.convolve import convolve
from kinema.music.limiter import limit, true_peak_envelope

TARGET_LUFS, CEILING_DBTP = -16.0, -1.5
SILENCE_LUFS = -70.0
"""The absolute gate: what is quieter does not count, and a sound of nothing else has no loudness."""
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (-1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621))
_STEP, _BLOCK_STEPS = AUDIO_RATE_HZ // 10, 4  # blocks of 400 ms, every 100 ms


@dataclass(frozen=True)
class Level:
    """Integrated loudness in LUFS (-inf: silence) and true peak in dBTP."""

    lufs: float
    peak_dbtp: float


def measure(samples_SC: np.ndarray) -> Level:
    """The level of a sound at 48 kHz, one or two channels. What is shorter than 400 ms counts as one block."""
    return Level(integrated(samples_SC), true_peak(samples_SC))


def integrated(samples_SC: np.ndarray) -> float:
    """Integrated loudness in LUFS with both gates of the standard; -inf where nothing passes them."""
    powers_N = _block_powers(samples_SC)
    loud_N = powers_N[_lufs(powers_N) > SILENCE_LUFS]
    if not len(loud_N):
        return -np.inf
    loud_N = loud_N[_lufs(loud_N) > _lufs(loud_N.mean()) - 10]
    return float(_lufs(loud_N.mean()))


def true_peak(samples_SC: np.ndarray) -> float:
    """The highest value between the samples too (four times oversampled), in dB of full scale; -inf for silence."""
    peak = max((float(true_peak_envelope(channel_S).max(initial=0.0)) for channel_S in samples_SC.T), default=0.0)
    return float(20 * np.log10(peak)) if peak > 0 else -np.inf


def normalise(
    samples_SC: np.ndarray, target_lufs: float = TARGET_LUFS, ceiling_dbtp: float = CEILING_DBTP
) -> tuple[np.ndarray, Level]:
    """The sound at a loudness, and the level that it has then: measured, one gain for all of it, a limiter for what
    would stand above the ceiling, measured again, and corrected where the limiter took loudness away.

    Silence comes back as it is; clicks with nothing between them stay quieter than asked for, since the ceiling holds.
    Raises RequestError for a target outside -40 to -8 LUFS or a ceiling outside -12 to 0.
    """
    if not -40 <= target_lufs <= -8:
        raise RequestError(f"{target_lufs:g} LUFS.", field="target_lufs", value=target_lufs, legal="-40 to -8")
    if not -12 <= ceiling_dbtp <= 0:
        raise RequestError(f"{ceiling_dbtp:g} dBTP.", field="ceiling_dbtp", value=ceiling_dbtp, legal="-12 to 0")
    before = integrated(samples_SC)
    if not np.isfinite(before):
        return samples_SC.astype(np.float32), measure(samples_SC)
    gain_db = target_lufs - before
    for _ in range(6):
        out_SC = limit(samples_SC * np.float32(10 ** (gain_db / 20)), ceiling_dbtp)
        missing = target_lufs - integrated(out_SC)
        if abs(missing) < 0.05:
            break
        gain_db += missing
    return out_SC, measure(out_SC)


def _lufs(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-30))


def _block_powers(samples_SC: np.ndarray) -> np.ndarray:
    """Mean squares of the weighted sound, summed over channels, of each block of 400 ms."""
    num_steps = len(samples_SC) // _STEP
    if num_steps < _BLOCK_STEPS:
        weighted = [convolve(channel_S.astype(np.float64), _weighting()) for channel_S in samples_SC.T]
        return np.array([sum(float((each[: len(samples_SC)] ** 2).mean()) for each in weighted)])
    sums_N = np.zeros(num_steps)
    for channel_S in samples_SC.T:
        weighted_S = convolve(channel_S.astype(np.float32), _weighting())[: num_steps * _STEP]
        sums_N += np.square(weighted_S.reshape(num_steps, _STEP)).sum(axis=1, dtype=np.float64)
    total_N = np.concatenate([[0.0], np.cumsum(sums_N)])
    return (total_N[_BLOCK_STEPS:] - total_N[:-_BLOCK_STEPS]) / (_BLOCK_STEPS * _STEP)


@functools.cache
def _weighting() -> np.ndarray:
    """K-weighting as one impulse response of 8192 samples (what is left out is below 1e-15)."""
    response_K = np.zeros(8192)
    response_K[0] = 1.0
    for (b0, b1, b2), (a1, a2) in (_SHELF, _HIGH_PASS):
        out, x1, x2, y1, y2 = [], 0.0, 0.0, 0.0, 0.0
        for x in response_K.tolist():
            y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2
            out.append(y)
            x1, x2, y1, y2 = x, x1, y, y1
        response_K = np.array(out)
    return response_K
