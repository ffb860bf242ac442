"""How packets travel from the playout to a sidecar: a hello in JSON, then packets, on a pipe."""

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
    """The first message. The address goes this way because everybody can read a command line."""
    known = asdict(shape) | {"fps": [shape.fps.numerator, shape.fps.denominator]}
    known["video"], known["audio"] = (base64.b64encode(data).decode() for data in (shape.video, shape.audio))
    data = json.dumps({"url": url, "shape": known, **settings}).encode()
    return _HEAD.pack(_HELLO, 0, 0, len(data)) + data


def pack(media: MediaPacket) -> bytes:
    kind = _VIDEO if media.kind == "video" else _AUDIO
    return _HEAD.pack(kind, int(media.key) | int(media.clip_start) << 1, media.at, len(media.data)) + media.data


def read_hello(pipe: BinaryIO) -> tuple[dict[str, Any], StreamFormat] | None:
    """Settings and shape; None where the pipe has ended."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    settings = json.loads(pipe.read(_HEAD.unpack(head)[3]))
    known = settings.pop("shape")
    known["fps"] = Fraction(*known["fps"])
    known["video"], known["audio"] = base64.b64decode(known["video"]), base64.b64decode(known["audio"])
    return settings, StreamFormat(**known)


def read_media(pipe: BinaryIO) -> MediaPacket | None:
    """The next packet; None where the pipe has ended."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, flags, at, size = _HEAD.unpack(head)
    data = pipe.read(size)
    if len(data) < size:
        return None
    return MediaPacket("video" if kind == _VIDEO else "audio", at, data, bool(flags & 1), bool(flags & 2))
