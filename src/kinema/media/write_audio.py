"""Write sound files (wav, flac, m4a, aac, mp3, ogg, opus) to a temporary file, renamed when complete."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from ..core.errors import MediaError, RequestError
from ..core.events import OnEvent, Progress, ignore
from ..core.whole import whole
from .open import writing

FORMATS = {
    ".wav": ("wav", "pcm_s16le", 0), ".flac": ("flac", "flac", 0), ".m4a": ("ipod", "aac", 192_000),
    ".aac": ("adts", "aac", 192_000), ".mp3": ("mp3", "libmp3lame", 192_000), ".ogg": ("ogg", "libopus", 160_000),
    ".opus": ("ogg", "libopus", 160_000),
}  # fmt: skip
"""Suffix: container, codec, bits per second (0: lossless)."""
_RUN = AUDIO_RATE_HZ // 2


def check_audio_name(path: str | os.PathLike[str]) -> None:
    """RequestError for an unsupported suffix."""
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise RequestError(
            f"{target.name}: no such sound format.", field="output", value=str(path), legal=", ".join(FORMATS),
            nearest=target.with_suffix(".m4a").name,
        )  # fmt: skip


def write_audio(
    samples_SC: np.ndarray,
    path: str | os.PathLike[str],
    *,
    notes: Mapping[str, str] | None = None,
    on_event: OnEvent = ignore,
) -> Path:
    """Write sound at 48 kHz, float32 in [-1, 1], shape (S, 1 or 2). Lossless formats store the exact number of samples,
    16 bits each; .m4a, .ogg and .opus (Opus in both) store it as metadata; .aac and .mp3 are longer by part of a frame.
    notes: tags of the file. The same sound gives the same bytes. RequestError (suffix), MediaError (cannot be written).
    """
    import av

    check_audio_name(path)
    target = Path(path)
    if target.is_dir():
        raise MediaError(f"{target}: is a folder.")
    form, codec, bits = FORMATS[target.suffix.lower()]
    options = {"fflags": "+bitexact"}
    with writing(target), whole(target) as temp, av.open(str(temp), "w", format=form, options=options) as file:
        for name, value in (notes or {}).items():
            file.metadata[name] = value
        stream = file.add_stream(codec, rate=AUDIO_RATE_HZ, layout="mono" if samples_SC.shape[1] == 1 else "stereo")
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if bits:
            stream.codec_context.bit_rate = bits
        encode(samples_SC, stream, file.mux, on_event)
        file.close()
    return target


def encode(samples_SC: np.ndarray, stream: Any, mux: Any, on_event: OnEvent = ignore) -> None:
    """Encode all of the sound, and pass each packet to `mux`."""
    started, total = time.perf_counter(), -(-len(samples_SC) // _RUN)
    for done, frame in enumerate(frames(samples_SC, stream.format.name), 1):
        mux(stream.encode(frame))
        on_event(Progress("write", done, total, time.perf_counter() - started))
    mux(stream.encode(None))


def frames(samples_SC: np.ndarray, sample_format: str) -> Iterator[Any]:
    """Yield av frames of half a second in the encoder's sample format (integers are rounded and clipped)."""
    import av

    layout = "mono" if samples_SC.shape[1] == 1 else "stereo"
    resampler = av.AudioResampler(format=sample_format, layout=layout, rate=AUDIO_RATE_HZ)
    for start in range(0, len(samples_SC), _RUN):
        planes = np.ascontiguousarray(np.clip(samples_SC[start : start + _RUN], -1, 1).T, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE_HZ, start, Fraction(1, AUDIO_RATE_HZ)
        yield from resampler.resample(frame)
