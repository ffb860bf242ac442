"""Settings of encoders, where a file must be as another program would write it; `write` has its own by quality."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ..core.errors import RequestError

Codec = Literal["h264", "vp9", "av1"]
_LIBRARIES = {"h264": "libx264", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
_MOST_CRF = {"h264": 51, "vp9": 63, "av1": 63}
_FIRST_TAG = 0x0110


@dataclass(frozen=True)
class VideoEncoding:
    """crf: constant quality, less is better. rate: frames per second; None: of the clip. RequestError: a setting that
    the codec does not have."""

    codec: Codec
    crf: float
    bit_depth: Literal[8, 10] = 8
    rate: Fraction | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= _MOST_CRF[self.codec]:
            legal = f"0 to {_MOST_CRF[self.codec]}"
            raise RequestError(f"crf = {self.crf:g} for {self.codec}.", field="crf", value=self.crf, legal=legal)
        if self.codec == "vp9" and self.bit_depth != 8:
            raise RequestError(f"VP9 with {self.bit_depth} bits.", field="bit_depth", value=self.bit_depth, legal="8")

    @property
    def name(self) -> str:
        return self.codec

    @property
    def suffixes(self) -> tuple[str, ...]:
        return {"h264": (".mp4",), "vp9": (".webm",), "av1": (".webm", ".mp4")}[self.codec]

    @property
    def library(self) -> str:
        return _LIBRARIES[self.codec]

    @property
    def options(self) -> dict[str, str]:
        crf = f"{self.crf:g}" if self.codec == "h264" else str(round(self.crf))
        more = {
            "h264": {"preset": "medium", "mbtree": "0"},
            "vp9": {"b": "0", "deadline": "good", "row-mt": "1", "cpu-used": "4"},
            "av1": {"preset": "6"},
        }
        return {"crf": crf} | more[self.codec]


@dataclass(frozen=True)
class WebpEncoding:
    """quality: 0 to 100; of a lossless file, the effort. method: 0 (fast) to 6. frame_ms: of every frame."""

    lossless: bool
    quality: int
    method: int
    frame_ms: int

    @property
    def name(self) -> str:
        return "animated WebP"

    @property
    def suffixes(self) -> tuple[str, ...]:
        return (".webp",)

    @property
    def options(self) -> dict[str, str]:
        return {
            "lossless": str(int(self.lossless)), "quality": str(self.quality), "compression_level": str(self.method),
        }  # fmt: skip


def exif(tags: Mapping[str, str]) -> bytes:
    """EXIF with a text "name:value" for each tag: the first in Model (0x0110), the next in Make (0x010F) and so on
    downwards, which is where ComfyUI keeps them."""
    texts = [f"{name}:{text}".encode() + b"\0" for name, text in tags.items()]
    numbered = sorted((_FIRST_TAG - index, text) for index, text in enumerate(texts))
    place = 8 + 2 + 12 * len(numbered) + 4
    head, data = struct.pack("<H", len(numbered)), b""
    for tag, text in numbered:
        padded = text + b"\0" * (len(text) % 2)
        if len(text) <= 4:
            head += struct.pack("<HHI4s", tag, 2, len(text), text)
        else:
            head += struct.pack("<HHII", tag, 2, len(text), place + len(data))
            data += padded
    return b"II*\0" + struct.pack("<I", 8) + head + struct.pack("<I", 0) + data
