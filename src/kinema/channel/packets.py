"""A conformed clip as packets in memory: read once, checked whole, so that nothing on disk can hurt what is on air.

What is checked, because a stream copy forgives none of it: one H.264 track and all its packets there and whole; each
picture shown in the order it is coded (no B-frames), at one constant rate; a keyframe at every GOP's start and nowhere
else; a whole number of GOPs; parameter sets inside the packets. The fingerprint names what clips of one channel must
share.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..core.errors import MediaError

MAX_BYTES = 256 * 1024 * 1024
"""A clip is held in memory while it is next and on air."""
_SPS, _IDR, _SLICE = 7, 5, 1


@dataclass(frozen=True)
class ClipPackets:
    """packets: payloads as MP4 holds them (length-prefixed), in order. gop: frames from keyframe to keyframe."""

    packets: tuple[bytes, ...]
    fingerprint: str
    fps: Fraction
    gop: int
    width: int
    height: int
    sha256: str
    header: bytes
    """The codec's extradata (avcC)."""

    @property
    def frames(self) -> int:
        return len(self.packets)


def read_packets(path: str | os.PathLike[str], sha256: str = "") -> ClipPackets:
    """All of a clip. sha256: of the file, where it is known; another content is refused. MediaError: missing, empty,
    truncated, broken, too large, or not a conformed clip; the text says which."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise MediaError(f"{path}: {size} bytes; a clip of a channel has at most {MAX_BYTES}.")
        data = path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise MediaError(f"{path}: {reason}.") from error
    if not data:
        raise MediaError(f"{path}: the file is empty.")
    found = hashlib.sha256(data).hexdigest()
    if sha256 and found != sha256:
        raise MediaError(
            f"{path}: is not the file that was added (its SHA-256 differs): truncated, broken or replaced."
        )
    return _parsed(path, data, found)


def _parsed(path: Path, data: bytes, sha256: str) -> ClipPackets:
    import av

    try:
        with av.open(io.BytesIO(data), "r", format="mp4", metadata_errors="replace") as container:
            streams = container.streams.video
            if len(streams) != 1 or streams[0].codec_context is None:
                raise MediaError(f"{path}: has {len(streams)} video tracks that can be read; 1 is legal.")
            stream = streams[0]
            read = [p for p in container.demux(stream) if p.size or p.pts is not None]
            return _checked(path, stream, read, sha256)
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise MediaError(f"{path}: cannot be read as an MP4 clip ({error}).") from error


def _checked(path: Path, stream: Any, read: list[Any], sha256: str) -> ClipPackets:
    context = stream.codec_context
    if context.name != "h264":
        raise MediaError(f"{path}: is {context.name}; a conformed clip is h264.")
    header = bytes(context.extradata or b"")
    payloads = tuple(bytes(packet) for packet in read)
    if not payloads or len(payloads) != stream.frames or len(header) < 7 or header[0] != 1:
        raise MediaError(f"{path}: {len(payloads)} of {stream.frames} frames can be read: truncated or broken.")
    prefix = (header[4] & 3) + 1
    fps = Fraction(stream.average_rate or 0)
    if not fps:
        raise MediaError(f"{path}: has no frame rate.")
    step = 1 / (fps * stream.time_base)
    keys = []
    for number, (packet, payload) in enumerate(zip(read, payloads)):
        if packet.pts != packet.dts or packet.pts != number * step:
            raise MediaError(f"{path}: frame {number} is shown at another time than its turn: B-frames or a gap.")
        kinds = _units(payload, prefix)
        if packet.is_corrupt or not kinds:
            raise MediaError(f"{path}: frame {number} is truncated or broken.")
        if packet.is_keyframe:
            keys.append(number)
            if _SPS not in kinds or _IDR not in kinds:
                raise MediaError(f"{path}: keyframe {number} does not repeat the parameter sets, or is no IDR picture.")
    gop = keys[1] if len(keys) > 1 else len(payloads)
    if keys != list(range(0, len(payloads), gop)) or len(payloads) % gop:
        raise MediaError(f"{path}: {len(payloads)} frames with keyframes at {keys[:6]}: not whole GOPs of one length.")
    shape = f"{context.width}x{context.height} {fps} {context.pix_fmt} {context.profile} gop{gop}"
    fingerprint = hashlib.sha256(header + shape.encode()).hexdigest()
    return ClipPackets(payloads, fingerprint, fps, gop, context.width, context.height, sha256, header)


def _units(payload: bytes, prefix: int) -> list[int]:
    """Kinds of the NAL units in a packet; empty where their lengths do not add up to it or no picture is in it."""
    kinds, at = [], 0
    while at < len(payload):
        end = at + prefix + int.from_bytes(payload[at : at + prefix], "big")
        if end > len(payload) or end == at + prefix:
            return []
        kinds.append(payload[at + prefix] & 31)
        at = end
    return kinds if _IDR in kinds or _SLICE in kinds else []
