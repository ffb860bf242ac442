"""Convert, resample and decode sound: float32 in [-1, 1], shape (samples, channels), 48 kHz.

Legend: S samples, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from ..core.errors import MediaError

MOST_OFF_S = 0.001
"""Most containers round times to this; sound with a larger offset is moved to its time."""


def silence(seconds: float, channels: int = 2) -> np.ndarray:
    """Zeros, shape (round(seconds * 48000), channels)."""
    return np.zeros((round(seconds * AUDIO_RATE_HZ), channels), np.float32)


def to_float(samples: np.ndarray) -> np.ndarray:
    """Convert integer samples of any width (unsigned: offset binary) or floats to float32, clipped to [-1, 1]."""
    if samples.dtype.kind == "f":
        return np.clip(samples, -1, 1).astype(np.float32)
    if samples.dtype.kind not in "iu":
        raise MediaError(f"Sound samples must be integers or floats, not {samples.dtype}.")
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    zero = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - zero) / half).astype(np.float32)


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Convert floats in [-1, 1] to int16; larger values are clipped."""
    return np.clip(np.rint(audio.astype(np.float64) * 32768), -32768, 32767).astype(np.int16)


def resample(audio_SC: np.ndarray, rate_hz: int, to_hz: int = AUDIO_RATE_HZ) -> np.ndarray:
    """Resample sound of one or two channels; the length becomes round(samples * to_hz / rate_hz)."""
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
    """Trim sound to `num_samples`, or pad it with silence."""
    missing = max(0, num_samples - len(audio_SC))
    return np.pad(audio_SC[:num_samples], ((0, missing), (0, 0)))


def stereo(audio_SC: np.ndarray) -> np.ndarray:
    """Convert sound to two channels: mono is duplicated, stereo returned unchanged."""
    return audio_SC if audio_SC.shape[1] == 2 else np.repeat(audio_SC, 2, axis=1)


def num_channels(container: Any) -> int:
    """Number of channels of the first sound track. MediaError if its codec is unknown."""
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise MediaError(f"{container.name}: no decoder is available for its sound.")
    return stream.codec_context.channels


def decode_audio(
    container: Any, start_seconds: float | None = None, seconds: float | None = None
) -> Iterator[np.ndarray]:
    """Yield the first sound track of an open container at 48 kHz, float32 (S, C), in pieces of at most a second.

    The first sample is at `start_seconds` on the container's clock (None: the start of the sound): earlier sound is
    dropped, and a later start is padded with silence. Samples keep their times to a millisecond: gaps between packets
    become silence, and overlapping packets lose their start. `seconds`: the maximum duration. More than two channels
    are mixed down to stereo.
    """
    layout = "mono" if num_channels(container) == 1 else "stereo"
    stop = None if seconds is None else round(seconds * AUDIO_RATE_HZ)
    num_done = 0  # samples at 48 kHz since start_seconds
    for begin, run in _runs(container, layout):
        start_seconds = begin if start_seconds is None else start_seconds
        place = round((begin - start_seconds) * AUDIO_RATE_HZ)
        for silent in _silence(num_done, place if stop is None else min(place, stop), 1 if layout == "mono" else 2):
            yield silent
            num_done += len(silent)
        for samples_SC in run:
            kept = samples_SC[max(0, num_done - place) :]
            kept = kept if stop is None else kept[: max(0, stop - num_done)]
            place += len(samples_SC)
            num_done += len(kept)
            if len(kept):
                yield np.ascontiguousarray(kept)
            if stop is not None and place >= stop:
                return


def _silence(begin: int, place: int, channels: int) -> Iterator[np.ndarray]:
    for start in range(begin, place, AUDIO_RATE_HZ):
        yield np.zeros((min(AUDIO_RATE_HZ, place - start), channels), np.float32)


def _runs(container: Any, layout: str) -> Iterator[tuple[float, Iterator[np.ndarray]]]:
    """Yield (start on the container's clock, samples at 48 kHz) of every run of sound without gaps. Each run must be
    consumed before the next one is requested."""
    import av

    frames = (each for each in container.decode(container.streams.audio[0]) if each.samples)
    waiting = next(frames, None)
    clock = 0.0

    def run(first: Any) -> Iterator[np.ndarray]:
        nonlocal waiting, clock
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=AUDIO_RATE_HZ)
        kind = (first.sample_rate, first.layout.name, first.format.name)
        begin, count = clock, 0
        frame = first
        while frame is not None:
            yield from _resampled(resampler, frame)
            count += frame.samples
            clock = begin + count / frame.sample_rate  # the due time of the next frame
            waiting = frame = next(frames, None)
            if frame is None or (frame.sample_rate, frame.layout.name, frame.format.name) != kind:
                break
            if frame.time is not None and abs(frame.time - clock) > MOST_OFF_S + 1 / frame.sample_rate:
                break
        yield from _resampled(resampler, None)

    while waiting is not None:
        clock = float(waiting.time) if waiting.time is not None else clock
        yield clock, run(waiting)


def _resampled(resampler: Any, frame: Any) -> Iterator[np.ndarray]:
    for part in resampler.resample(frame):
        yield np.clip(part.to_ndarray().T, -1, 1)


class AudioTrack:
    """Takes exact numbers of samples from `decode_audio`, so that each Chunk gets its sound."""

    def __init__(self, parts: Iterator[np.ndarray], channels: int) -> None:
        self.parts, self.rest = parts, np.zeros((0, channels), np.float32)

    def take(self, num_samples: int) -> np.ndarray:
        """Return the next samples, with silence after the end."""
        have = [self.rest]
        count = len(self.rest)
        while count < num_samples and (part := next(self.parts, None)) is not None:
            have.append(part)
            count += len(part)
        joined = np.concatenate(have)
        self.rest = joined[num_samples:]
        return fit(joined, num_samples)
