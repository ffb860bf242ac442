"""Loudness and true peak after ITU-R BS.1770-4, and bringing music to a level: -16 LUFS, at most -1.5 dBTP.

Loudness is ffmpeg's (the filter ebur128). The true peak is the limiter's own: what it holds down has to be what is
measured, and ffmpeg interpolates 0.1 dB differently. Not loudnorm: it makes 192 kHz of the sound, and where one gain
would go over the ceiling it turns into a compressor.
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
"""The absolute gate: what is quieter does not count, and a sound of nothing else has no loudness."""
SHORTEST_S = 1.0
"""What is shorter is measured as a repetition of itself, since the standard's blocks are 400 ms long."""


@dataclass(frozen=True)
class Level:
    """Integrated loudness in LUFS (-inf: silence) and true peak in dBTP."""

    lufs: float
    peak_dbtp: float


def measure(samples_SC: np.ndarray) -> Level:
    """The level of a sound at 48 kHz, one or two channels. A short sound is measured as its repetition."""
    return Level(integrated(samples_SC), true_peak(samples_SC))


def integrated(samples_SC: np.ndarray) -> float:
    """Integrated loudness in LUFS with both gates of the standard; -inf where nothing passes them."""
    import av

    num_samples, num_channels = samples_SC.shape
    if not num_samples:
        return -np.inf
    samples_SC = np.tile(samples_SC, (-(-round(SHORTEST_S * AUDIO_RATE_HZ) // num_samples), 1))
    layout = "mono" if num_channels == 1 else "stereo"
    graph = av.filter.Graph()
    source = f"sample_rate={AUDIO_RATE_HZ}:sample_fmt=flt:channel_layout={layout}:time_base=1/{AUDIO_RATE_HZ}"
    given, meter, end = graph.add("abuffer", source), graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    given.link_to(meter)
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
