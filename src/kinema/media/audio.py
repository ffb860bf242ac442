"""Sound as float32 in [-1, 1], shape (samples, channels), 48 kHz: converting, resampling, decoding.

Legend: S samples, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kinema.core.chunk import AUDIO_RATE_HZ
from kinema.core.errors import MediaError


def silence(seconds: float, channels: int = 2) -> np.ndarray:
    """Zeros, shape (round(seconds * 48000), channels)."""
    return np.zeros((round(seconds * AUDIO_RATE_HZ), channels), np.float32)


def to_float(samples: np.ndarray) -> np.ndarray:
    """Integer samples of any width (unsigned: offset binary) or floats as float32, clipped to [-1, 1]."""
    if samples.dtype.kind == "f":
        return np.clip(samples, -1, 1).astype(np.float32)
    if samples.dtype.kind not in "iu":
        raise MediaError(f"Sound samples must be integers or floats, not {samples.dtype}.")
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    zero = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - zero) / half).astype(np.float32)


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1] as int16; louder values are clipped."""
    return np.clip(np.rint(audio.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)


def resample(audio_SC: np.ndarray, rate_hz: int, to_hz: int = AUDIO_RATE_HZ) -> np.ndarray:
    """Sound of one rate (one or two channels) at another; the length is round(samples * to_hz / rate_hz)."""
    if rate_hz == to_hz or len(audio_SC) == 0:
        return audio_SC.astype(np.float32)
    import av

    layout = "mono" if audio_SC.shape[1] == 1 else "stereo"
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=to_hz)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio_SC.T, dtype=np.float32), format="fltp", layout=layout)
    frame.sample_rate = rate_hz
    parts = [part.to_ndarray().T for part in [*resampler.resample(frame), *resampler.resample(None)]]
    return fit(np.concatenate(parts), round(len(audio_SC) * to_hz / rate_hz))


def fit(audio_SC: np.ndarray, num_samples: int) -> np.ndarray:
    """Exactly `num_samples`: cut at the end, or filled with silence."""
    missing = max(0, num_samples - len(audio_SC))
    return np.pad(audio_SC[:num_samples], ((0, missing), (0, 0)))


def stereo(audio_SC: np.ndarray) -> np.ndarray:
    """Two channels: one channel on both sides, two as they are."""
    return audio_SC if audio_SC.shape[1] == 2 else np.repeat(audio_SC, 2, axis=1)


def num_channels(container: Any) -> int:
    """Channels of the first sound track. MediaError where its codec is unknown."""
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise MediaError(f"{container.name}: its sound is in a codec that cannot be decoded here.")
    return stream.codec_context.channels


def decode_audio(container: Any, start_seconds: float = 0.0) -> Iterator[np.ndarray]:
    """The first sound track of an open container at 48 kHz, float32 (S, C), piece by piece.

    The first sample is the one heard at `start_seconds` of the container's clock: what lies before is
    dropped, a later start is filled with silence. More than two channels are mixed down to stereo.
    """
    import av

    layout = "mono" if num_channels(container) == 1 else "stereo"
    stream = container.streams.audio[0]
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=AUDIO_RATE_HZ)
    lead: int | None = None
    for frame in _frames_and_end(container, stream):
        for part in resampler.resample(frame):
            samples_SC = np.clip(part.to_ndarray().T, -1, 1)
            if lead is None:  # samples to drop (below zero: silence to add) before the first one wanted
                heard = (frame.time or 0.0) if frame is not None else 0.0
                lead = round((start_seconds - heard) * AUDIO_RATE_HZ)
                if lead < 0:
                    yield np.zeros((-lead, samples_SC.shape[1]), np.float32)
                    lead = 0
            kept = samples_SC[lead:]
            lead = max(0, lead - len(samples_SC))
            if len(kept):
                yield np.ascontiguousarray(kept)


def _frames_and_end(container: Any, stream: Any) -> Iterator[Any]:
    yield from container.decode(stream)
    yield None  # flushes the resampler


class AudioTrack:
    """Pulls exact runs of samples out of `decode_audio`, so that sound can travel with the frames."""

    def __init__(self, parts: Iterator[np.ndarray], channels: int) -> None:
        self.parts, self.rest = parts, np.zeros((0, channels), np.float32)

    def take(self, num_samples: int) -> np.ndarray:
        """The next samples; silence after the end."""
        have = [self.rest]
        count = len(self.rest)
        while count < num_samples and (part := next(self.parts, None)) is not None:
            have.append(part)
            count += len(part)
        joined = np.concatenate(have)
        self.rest = joined[num_samples:]
        return fit(joined, num_samples)
