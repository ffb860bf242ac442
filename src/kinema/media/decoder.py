"""Decode packets to frames, and index the frames of a file.

Frame n of a file is the n-th that a decoder returns when it reads the file from its first packet. Only in some
containers do packets agree with that (one packet per frame, in the order of their times, with an index of keyframes);
Kinema seeks only in those, and decodes all others from the start.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..core.errors import MediaError
from .open import open_container
from .timeline import MAX_FPS, MIN_FPS, Timeline, timeline

_INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Demuxers with an index of keyframes and a time for every frame. MPEG streams seek past the requested time, AVI and
elementary streams have no presentation times, and the others gain little."""
_SLOTS = ("avi", "gxf", "asf")
"""Demuxers whose packet times are not in presentation order: the k-th shown frame has the k-th of the sorted times."""
_UNTIMED = ("h264", "hevc", "mpegvideo", "m4v", "obu", "av1")
"""Elementary streams; the demuxer invents the times of their packets."""
_HIDDEN_PACKETS = ("vp8",)
"""Codecs whose invisible frames are separate packets."""
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the alpha channel of WebM, which FFmpeg's own decoders drop."""
_LOOKED_AT = 3
_REORDERED = 32
"""More packets than any codec needs before its first frame."""


@dataclass(frozen=True)
class Index:
    """The frames of a file. pts: sorted presentation times in stream units, if the container can seek by them; None if
    frames are counted. lines: the frames at a constant rate. begin_s: time of the first frame on the container's
    clock."""

    pts: list[int] | None
    lines: Timeline
    begin_s: float


def frames_of(container: Any, stream: Any, *, vectors: bool = False) -> Iterator[Any]:
    """Yield all frames from the container's current position, in presentation order. Undecodable packets before the
    first frame (as in a recording that was cut anywhere) are skipped. vectors: with motion vectors as side data, where
    the codec has any."""
    import av

    decoder, begun = _decoder(stream), False
    if vectors:
        decoder.options = {**decoder.options, "flags2": "+export_mvs"}
    for packet in container.demux(stream):
        if not packet.size:
            continue  # the end, or an AVI placeholder, which a decoder would treat as the end
        try:
            frames = decoder.decode(packet)
        except av.error.InvalidDataError:
            if begun:
                raise
            continue
        begun = begun or bool(frames)
        yield from frames
    yield from decoder.decode(None)


def read_index(path: Path) -> Index:
    """Index the frames of a file and their times. Reads all packets, and decodes all frames if packets are not enough.
    MediaError if the file has no pictures or its frame rate is not legal."""
    return _packet_index(path) or _counted_index(path)


def begin_seconds(path: Path) -> float:
    """The time of the first frame on the container's clock; 0 for a file without pictures. Decodes one frame."""
    with open_container(path) as container:
        if not container.streams.video:
            return 0.0
        stream = container.streams.video[0]
        if container.format.name in _SLOTS:
            slots = [packet.dts for packet in itertools.islice(container.demux(stream), _REORDERED) if packet.size]
            return float(min((slot for slot in slots if slot is not None), default=0) * stream.time_base)
        if stream.codec_context is None:
            return float((stream.start_time or 0) * stream.time_base)
        first = next(frames_of(container, stream), None)
        pts = stream.start_time if first is None or first.pts is None else first.pts
        return float((pts or 0) * stream.time_base)


def _decoder(stream: Any) -> Any:
    import av

    context = stream.codec_context
    notes = {name.lower(): value for name, value in stream.metadata.items()}
    if context.name in _WITH_ALPHA and notes.get("alpha_mode") == "1":
        return av.CodecContext.create(_WITH_ALPHA[context.name], "r")
    stream.thread_type = "AUTO"
    return context


LOST_FRAMES, LOST_SHARE = 2, 0.02
"""Number and share of frames that a file may lack compared to its index: some encoders count one too many."""


def _packet_index(path: Path) -> Index | None:
    """The index from packets; None if packets may not match frames."""
    with open_container(path) as container:
        stream = container.streams.video[0]
        if container.format.name not in _INDEXED or stream.codec_context.name in _HIDDEN_PACKETS:
            return None
        lengths: dict[int, int | None] = {}
        packets = 0
        for packet in container.demux(stream):
            packets += bool(packet.size)
            if packet.size and not packet.is_discard and not packet.is_corrupt:
                if packet.pts is None or packet.pts in lengths:
                    return None
                lengths[packet.pts] = packet.duration
        if stream.frames - packets > max(LOST_FRAMES, LOST_SHARE * stream.frames):
            raise MediaError(f"{path}: contains {packets} of {stream.frames} frames; the file is truncated or damaged.")
        if not lengths:
            return None
        pts = sorted(lengths)
        rates, base = _rates(stream), stream.time_base
    with open_container(path) as container:
        first = list(itertools.islice(frames_of(container, container.streams.video[0]), _LOOKED_AT))
        if [frame.pts for frame in first] != pts[: len(first)]:
            return None  # fields, or frames that refer to missing ones
    return Index(pts, _lines(path, pts, lengths[pts[-1]], base, rates), float(pts[0] * base))


def _counted_index(path: Path) -> Index:
    with open_container(path) as container:
        stream, form = container.streams.video[0], container.format.name
        decoded = [(f.pts, f.duration) for f in frames_of(container, stream)]
        rates, base, start = _rates(stream), stream.time_base, stream.start_time
    if not decoded:
        raise MediaError(f"{path}: no frame can be decoded.")
    times: list[Any] = [None if form in _UNTIMED else pts for pts, _ in decoded]
    if form in _SLOTS:
        with open_container(path) as container:
            decoding = [packet.dts for packet in container.demux(container.streams.video[0]) if packet.size]
        times = sorted(dts for dts in decoding if dts is not None) if None not in decoding else []
        times = times if len(times) == len(decoded) else [None] * len(decoded)
    if None in times or any(a >= b for a, b in itertools.pairwise(times)):
        rate = next(iter(rates), Fraction(25))
        return Index(None, Timeline(rate, len(decoded)), float((start or 0) * base))
    return Index(None, _lines(path, times, decoded[-1][1], base, rates), float(times[0] * base))


def _rates(stream: Any) -> list[Fraction]:
    """The legal frame rates that the file names."""
    named = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return [Fraction(rate) for rate in named if rate and MIN_FPS <= rate <= MAX_FPS]


def _lines(path: Path, pts: list[int], last: int | None, base: Fraction, rates: list[Fraction]) -> Timeline:
    last = last or (round((pts[-1] - pts[0]) / (len(pts) - 1)) if len(pts) > 1 else 0)
    times = [float((one - pts[0]) * base) for one in pts]
    found = timeline(times, times[-1] + float(last * base), rates)
    if not MIN_FPS <= found.fps <= MAX_FPS:
        seconds = times[-1] + float(last * base)
        raise MediaError(
            f"{path}: {len(pts)} frames in {seconds:g} s; the frame rate must be {MIN_FPS:g} to {MAX_FPS:g} fps."
        )
    return found
