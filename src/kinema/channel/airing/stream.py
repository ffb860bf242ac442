"""The packets that the playout sends to its outputs, the stream format, and a muxer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from ...core.chunk import AUDIO_RATE_HZ

AAC_SAMPLES = 1024


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """One packet. at: the number of its frame (video) or first sample (audio) in the channel's counters, which start at
    0 and only increase. key: a video keyframe. clip_start: the first frame of a clip."""

    kind: Literal["video", "audio"]
    at: int
    data: bytes
    key: bool = False
    clip_start: bool = False


@dataclass(frozen=True)
class StreamFormat:
    """The format shared by all packets of a channel. video, audio: short MP4 files as templates for muxers (their
    packets are never sent)."""

    fps: Fraction
    gop: int
    width: int
    height: int
    codec: str
    """The codec string of playlists, such as avc1.64001e."""
    video: bytes
    audio: bytes

    def sample_of(self, frame: int) -> int:
        """The audio sample at the start of a video frame."""
        return frame * AUDIO_RATE_HZ * self.fps.denominator // self.fps.numerator


class Muxer:
    """Writes packets to one container: a file object or an address. `first_frame` is at time 0. Raises PyAV errors."""

    def __init__(self, target: Any, container: str, shape: StreamFormat, first_frame: int = 0, **how: Any) -> None:
        import av

        self.shape = shape
        self._num, self._den = 90_000 * shape.fps.denominator, shape.fps.numerator
        self._packet = av.Packet
        self._templates = [av.open(io.BytesIO(data), "r", format="mp4") for data in (shape.video, shape.audio)]
        self._out = av.open(target, "w", format=container, **how)
        self._video = self._out.add_stream_from_template(self._templates[0].streams.video[0])
        self._audio = self._out.add_stream_from_template(self._templates[1].streams.audio[0])
        self._out.start_encoding()
        self.begin_at(first_frame)

    def begin_at(self, first_frame: int) -> None:
        """Set the frame at time 0. Only before the first packet."""
        self.first_frame, self._first_90k = first_frame, first_frame * self._num // self._den

    def send(self, media: MediaPacket) -> None:
        packet = self._packet(media.data)
        if media.kind == "video":
            packet.time_base = _TS
            packet.pts = packet.dts = media.at * self._num // self._den - self._first_90k
            packet.duration = self._num // self._den
            packet.is_keyframe = media.key
            packet.stream = self._video
        else:
            packet.time_base = _TS
            packet.pts = packet.dts = media.at * 90_000 // AUDIO_RATE_HZ - self._first_90k
            packet.duration = AAC_SAMPLES * 90_000 // AUDIO_RATE_HZ
            packet.stream = self._audio
        self._out.mux(packet)

    def close(self) -> None:
        try:
            self._out.close()
        finally:
            for template in self._templates:
                template.close()


_TS = Fraction(1, 90_000)


def interleaved(video: list[MediaPacket], audio: list[MediaPacket], shape: StreamFormat) -> Iterator[MediaPacket]:
    """Yield video and audio packets in order of time."""
    waiting = iter(audio)
    sound = next(waiting, None)
    for picture in video:
        until = shape.sample_of(picture.at)
        while sound is not None and sound.at <= until:
            yield sound
            sound = next(waiting, None)
        yield picture
    while sound is not None:
        yield sound
        sound = next(waiting, None)
