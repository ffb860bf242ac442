"""The pipe protocol between the playout and an RTMP sidecar: a JSON message with settings, then packets."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import asdict
from fractions import Fraction
from typing import Any, BinaryIO

from .stream import MediaPacket, StreamFormat

_HEAD = struct.Struct(">BBqI")
_HELLO, _VIDEO, _AUDIO = 0, 1, 2


def hello(url: str, shape: StreamFormat, **settings: Any) -> bytes:
    """The first message. The address is not an argument because command lines are visible to all users."""
    fields = asdict(shape) | {"fps": [shape.fps.numerator, shape.fps.denominator]}
    fields["video"], fields["audio"] = (base64.b64encode(data).decode() for data in (shape.video, shape.audio))
    data = json.dumps({"url": url, "shape": fields, **settings}).encode()
    return _HEAD.pack(_HELLO, 0, 0, len(data)) + data


def pack(media: MediaPacket) -> bytes:
    kind = _VIDEO if media.kind == "video" else _AUDIO
    return _HEAD.pack(kind, int(media.key) | int(media.clip_start) << 1, media.at, len(media.data)) + media.data


def read_hello(pipe: BinaryIO) -> tuple[dict[str, Any], StreamFormat] | None:
    """Settings and stream format; None if the pipe has ended."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    settings = json.loads(pipe.read(_HEAD.unpack(head)[3]))
    fields = settings.pop("shape")
    fields["fps"] = Fraction(*fields["fps"])
    fields["video"], fields["audio"] = base64.b64decode(fields["video"]), base64.b64decode(fields["audio"])
    return settings, StreamFormat(**fields)


def read_media(pipe: BinaryIO) -> MediaPacket | None:
    """The next packet; None if the pipe has ended."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, flags, at, size = _HEAD.unpack(head)
    data = pipe.read(size)
    if len(data) < size:
        return None
    return MediaPacket("video" if kind == _VIDEO else "audio", at, data, bool(flags & 1), bool(flags & 2))
