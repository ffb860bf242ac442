"""The AAC encoder of a channel. It runs continuously, so the audio is seamless across clips."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ...core.chunk import AUDIO_RATE_HZ
from .stream import AAC_SAMPLES, MediaPacket

BIT_RATE = 128_000


class SoundEncoder:
    """Encodes float32 stereo at 48 kHz as AAC packets. `next_at`: the first sample of the next packet, a multiple of
    1024; initially the first one at or after `first_sample`."""

    def __init__(self, first_sample: int = 0) -> None:
        import av

        self._av = av
        self.next_at = -(-first_sample // AAC_SAMPLES) * AAC_SAMPLES
        self._context = av.CodecContext.create("aac", "w")
        _set(self._context)
        self._given = 0
        # the encoder's first packet holds samples before its first one: it is not sent
        self.take(np.zeros((2 * AAC_SAMPLES, 2), np.float32), send=False)

    def take(self, block_SC: np.ndarray, send: bool = True) -> list[MediaPacket]:
        """Encode samples of shape (samples, 2), a multiple of 1024, and return one packet per 1024."""
        encoded = []
        for start in range(0, len(block_SC), AAC_SAMPLES):
            planes = np.ascontiguousarray(block_SC[start : start + AAC_SAMPLES].T, np.float32)
            frame = self._av.AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE_HZ, self._given, Fraction(1, AUDIO_RATE_HZ)
            self._given += AAC_SAMPLES
            encoded += [bytes(packet) for packet in self._context.encode(frame)]
        if not send:
            return []
        packets = [MediaPacket("audio", self.next_at + k * AAC_SAMPLES, data) for k, data in enumerate(encoded)]
        self.next_at += len(encoded) * AAC_SAMPLES
        return packets


def sound_template() -> bytes:
    """A short MP4 with the encoder's parameters, as a template for muxers."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("aac", rate=AUDIO_RATE_HZ)
        _set(stream.codec_context)
        for frame in _silence(av):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _silence(av: Any) -> Iterator[Any]:
    for number in range(2):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, AAC_SAMPLES), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = (
            AUDIO_RATE_HZ, number * AAC_SAMPLES, Fraction(1, AUDIO_RATE_HZ),
        )  # fmt: skip
        yield frame


def _set(context: Any) -> None:
    context.sample_rate, context.layout, context.format = AUDIO_RATE_HZ, "stereo", "fltp"
    context.bit_rate, context.time_base = BIT_RATE, Fraction(1, AUDIO_RATE_HZ)
    context.options = {"aac_coder": "fast"}
