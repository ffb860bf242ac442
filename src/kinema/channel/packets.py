"""Read a conformed clip into memory as packets and verify it completely, so that file damage cannot reach the air.

The checks are those a stream copy depends on: one H.264 track with all its packets complete; presentation order equal
to coding order (no B-frames); constant frame rate; keyframes exactly at GOP starts; whole GOPs; parameter sets in the
packets. The fingerprint identifies what all clips of a channel must share.
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
"""Maximum file size. A clip is held in memory while it is next and on air."""
_SPS, _IDR, _SLICE = 7, 5, 1


@dataclass(frozen=True)
class ClipPackets:
    """A clip in memory. packets: length-prefixed payloads as in MP4, in order. gop: frames from keyframe to
    keyframe."""

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
    """Read and verify a clip. sha256: the expected hash of the file; empty skips this check. MediaError: missing,
    empty, truncated, damaged, too large, or not a conformed clip."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise MediaError(f"{path}: {size} bytes; a channel clip has at most {MAX_BYTES} bytes.")
        data = path.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise MediaError(f"No such file: {path}.") from error
        raise MediaError(f"Cannot read {path}: {error.strerror or error}.") from error
    if not data:
        raise MediaError(f"{path}: the file is empty.")
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256:
        raise MediaError(f"{path}: the SHA-256 differs from that of the added file: truncated, damaged or replaced.")
    return _parsed(path, data, digest)


def _parsed(path: Path, data: bytes, sha256: str) -> ClipPackets:
    import av

    try:
        with av.open(io.BytesIO(data), "r", format="mp4", metadata_errors="replace") as container:
            streams = container.streams.video
            if len(streams) != 1 or streams[0].codec_context is None:
                raise MediaError(f"{path}: {len(streams)} readable video tracks; 1 is required.")
            stream = streams[0]
            read = [p for p in container.demux(stream) if p.size or p.pts is not None]
            return _checked(path, stream, read, sha256)
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise MediaError(f"{path}: not a readable MP4 clip ({error}).") from error


def _checked(path: Path, stream: Any, read: list[Any], sha256: str) -> ClipPackets:
    context = stream.codec_context
    if context.name != "h264":
        raise MediaError(f"{path}: codec {context.name}; a conformed clip is h264.")
    header = bytes(context.extradata or b"")
    payloads = tuple(bytes(packet) for packet in read)
    if not payloads or len(payloads) != stream.frames or len(header) < 7 or header[0] != 1:
        raise MediaError(f"{path}: {len(payloads)} of {stream.frames} frames are readable: truncated or damaged.")
    prefix = (header[4] & 3) + 1
    fps = Fraction(stream.average_rate or 0)
    if not fps:
        raise MediaError(f"{path}: no frame rate.")
    step = 1 / (fps * stream.time_base)
    keys = []
    for number, (packet, payload) in enumerate(zip(read, payloads)):
        if packet.pts != packet.dts or packet.pts != number * step:
            raise MediaError(f"{path}: frame {number} has an unexpected timestamp: B-frames or a gap.")
        kinds = _units(payload, prefix)
        if packet.is_corrupt or not kinds:
            raise MediaError(f"{path}: frame {number} is truncated or damaged.")
        if packet.is_keyframe:
            keys.append(number)
            if _SPS not in kinds or _IDR not in kinds:
                raise MediaError(f"{path}: keyframe {number} has no parameter sets or is not an IDR picture.")
    gop = keys[1] if len(keys) > 1 else len(payloads)
    if keys != list(range(0, len(payloads), gop)) or len(payloads) % gop:
        raise MediaError(f"{path}: {len(payloads)} frames, keyframes at {keys[:6]}: not whole GOPs of constant length.")
    shape = f"{context.width}x{context.height} {fps} {context.pix_fmt} {context.profile} gop{gop}"
    fingerprint = hashlib.sha256(header + shape.encode()).hexdigest()
    return ClipPackets(payloads, fingerprint, fps, gop, context.width, context.height, sha256, header)


def _units(payload: bytes, prefix: int) -> list[int]:
    """Types of the NAL units in a packet; empty if their lengths do not add up or the packet has no picture."""
    kinds, at = [], 0
    while at < len(payload):
        end = at + prefix + int.from_bytes(payload[at : at + prefix], "big")
        if end > len(payload) or end == at + prefix:
            return []
        kinds.append(payload[at + prefix] & 31)
        at = end
    return kinds if _IDR in kinds or _SLICE in kinds else []
