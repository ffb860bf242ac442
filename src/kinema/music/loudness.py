"""Measure loudness and true peak (ITU-R BS.1770-4), and normalise music to -16 LUFS and at most -1.5 dBTP.

Loudness comes from ffmpeg's filter ebur128. The true peak is computed as in the limiter, so that both agree; ffmpeg's
interpolation differs by 0.1 dB. ffmpeg's loudnorm is not used: it resamples to 192 kHz, and compresses the sound where
one gain would exceed the ceiling.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from ..core.errors import RequestError
from .limiter import limit, true_peak_envelope

TARGET_LUFS, CEILING_DBTP = -16.0, -1.5
SILENCE_LUFS = -70.0
"""The absolute gate: quieter blocks do not count, and a sound of only such blocks has no loudness."""
SHORTEST_S = 1.0
"""Shorter sounds are repeated for the measurement, because the standard's blocks are 400 ms long."""


@dataclass(frozen=True)
class Level:
    """Integrated loudness in LUFS (-inf: silence) and true peak in dBTP."""

    lufs: float
    peak_dbtp: float


def measure(samples_SC: np.ndarray) -> Level:
    """Measure the level of a sound at 48 kHz with one or two channels."""
    return Level(integrated(samples_SC), true_peak(samples_SC))


def integrated(samples_SC: np.ndarray) -> float:
    """Integrated loudness in LUFS with both gates of the standard; -inf if no block passes them."""
    import av

    num_samples, num_channels = samples_SC.shape
    if not num_samples:
        return -np.inf
    samples_SC = np.tile(samples_SC, (-(-round(SHORTEST_S * AUDIO_RATE_HZ) // num_samples), 1))
    layout = "mono" if num_channels == 1 else "stereo"
    graph = av.filter.Graph()
    source = f"sample_rate={AUDIO_RATE_HZ}:sample_fmt=flt:channel_layout={layout}:time_base=1/{AUDIO_RATE_HZ}"
    buffer, meter, end = graph.add("abuffer", source), graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    buffer.link_to(meter)
    meter.link_to(end)
    graph.configure()
    found = SILENCE_LUFS
    for start in [*range(0, len(samples_SC), AUDIO_RATE_HZ), None]:
        if start is None:
            graph.push(None)
        else:
            part = np.ascontiguousarray(samples_SC[start : start + AUDIO_RATE_HZ], np.float32)
            frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="flt", layout=layout)
            frame.sample_rate, frame.pts = AUDIO_RATE_HZ, start
            graph.push(frame)
        with contextlib.suppress(BlockingIOError, EOFError):
            while True:
                found = float(graph.pull().metadata.get("lavfi.r128.I", found))
    return found if found > SILENCE_LUFS else -np.inf


def true_peak(samples_SC: np.ndarray) -> float:
    """The true peak (four times oversampled) in dB of full scale; -inf for silence."""
    peak = max((float(true_peak_envelope(channel_S).max(initial=0.0)) for channel_S in samples_SC.T), default=0.0)
    return float(20 * np.log10(peak)) if peak > 0 else -np.inf


def normalise(
    samples_SC: np.ndarray, target_lufs: float = TARGET_LUFS, ceiling_dbtp: float = CEILING_DBTP
) -> tuple[np.ndarray, Level]:
    """Normalise a sound to a loudness with one gain and a limiter; return the sound and its level. The gain is
    corrected for loudness that the limiter removes.

    Silence is returned unchanged. Isolated clicks stay below the target, because the ceiling has priority. RequestError
    for a target outside -40 to -8 LUFS or a ceiling outside -12 to 0 dBTP.
    """
    if not -40 <= target_lufs <= -8:
        message = f"The loudness {target_lufs:g} LUFS is out of range."
        raise RequestError(message, field="target_lufs", value=target_lufs, legal="-40 to -8")
    if not -12 <= ceiling_dbtp <= 0:
        message = f"The true peak {ceiling_dbtp:g} dBTP is out of range."
        raise RequestError(message, field="ceiling_dbtp", value=ceiling_dbtp, legal="-12 to 0")
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
