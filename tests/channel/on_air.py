"""Helpers for tests of the playout: small clips, a channel on an accelerated clock, and a receiver."""

from __future__ import annotations

import io
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from kinema.channel.airing.clock import FastClock
from kinema.channel.airing.playout import Playout, PlayoutSettings
from kinema.channel.conform import Encoding, conform
from kinema.channel.library import Library, LibraryClip
from kinema.core.chunk import Chunk

SMALL = Encoding(width=96, height=64, fps=24, gop=24, preset="ultrafast")


def picture(number: int, seconds: int, encoding: Encoding = SMALL):
    """Frames whose brightness encodes the clip's number: (number + 1) * 20."""
    shape = (encoding.fps * seconds, encoding.height, encoding.width, 3)
    return [Chunk(np.full(shape, (number + 1) * 20, np.uint8), 0, float(encoding.fps))]


def fill(folder: Path, num: int, seconds: int = 2, encoding: Encoding = SMALL, **more) -> list[LibraryClip]:
    with Library.open(folder) as library:
        clips = []
        for number in range(num):
            id = f"clip{number}"
            made = conform(picture(number, seconds, encoding), library.clip_path(id), encoding)
            clips.append(library.add(LibraryClip.of(id, made, f"Clip {number}", made_at=float(number + 1), **more)))
        return clips


def fast_playout(folder: Path, clock: FastClock | None = None, **more) -> Playout:
    return Playout(folder, PlayoutSettings(name="Test", encoding=SMALL, **more), clock or FastClock())


@dataclass
class Received:
    """The content of TS segments read as one stream. Timestamps in 90 kHz ticks."""

    video: list[int]
    audio: list[int]
    corrupt: int
    errors: int
    frames: int
    levels: list[int]
    """Mean brightness of each decoded frame."""


def receive(data: bytes) -> Received:
    """Demultiplex and decode all packets, and count errors."""
    video, audio, levels, corrupt, errors = [], [], [], 0, 0
    with av.open(io.BytesIO(data), "r", format="mpegts") as container:
        for packet in container.demux():
            if not packet.size:
                continue
            corrupt += packet.is_corrupt
            (video if packet.stream.type == "video" else audio).append(packet.pts)
            try:
                frames = packet.decode()
                levels += [level(frame) for frame in frames if packet.stream.type == "video"]
            except av.FFmpegError:
                errors += 1
        levels += [level(frame) for frame in container.streams.video[0].codec_context.decode(None)]
    return Received(video, audio, corrupt, errors, len(levels), levels)


def level(frame) -> int:
    return round(float(frame.to_ndarray(format="gray").mean()))


def deltas(times: list[int]) -> set[int]:
    """Timestamp steps from packet to packet, modulo 2**33."""
    return {(b - a) % 2**33 for a, b in itertools.pairwise(times)}


class Collector:
    """Collects every segment that the playlist ever listed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "on_air"
        self.data: dict[int, bytes] = {}
        self.dates: dict[int, str] = {}
        self.sequences: list[int] = []
        self.jumps: set[int] = set()

    def look(self) -> None:
        try:
            text = (self.folder / "live.m3u8").read_text()
        except FileNotFoundError:
            return
        sequence = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1])
        self.sequences.append(sequence)
        jump, date = False, ""
        for line in text.splitlines():
            jump = jump or line == "#EXT-X-DISCONTINUITY"
            if line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
                date = line.split(":", 1)[1]
            if line.endswith(".ts"):
                data = (self.folder / line).read_bytes()
                if jump:
                    self.jumps.add(sequence)
                assert self.data.setdefault(sequence, data) == data, "a segment number was used twice"
                assert self.dates.setdefault(sequence, date) == date
                sequence, jump = sequence + 1, False

    def stream(self) -> bytes:
        numbers = sorted(self.data)
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a segment is missing"
        return b"".join(self.data[number] for number in numbers)
