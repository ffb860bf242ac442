"""Suffixes of readable files: those that ffmpeg lists for the formats of open.py, and those of pictures.

The reader itself detects formats by content; the suffixes select files in a folder.
"""

from __future__ import annotations

from functools import cache

from .decode_pictures import _SUFFIXES
from .open import _CONTAINERS

_WRITERS = {
    "mpeg": ("vob", "svcd"), "mpegvideo": ("mpeg1video", "mpeg2video"), "ogg": ("ogv", "oga"), "asf": ("asf_stream",),
    "opus": ("oga",), "matroska": ("webm",),
}  # fmt: skip
"""ffmpeg's muxers whose names differ from the demuxers'."""


@cache
def readable() -> frozenset[str]:
    """The suffixes of readable video, sound and picture files, in lower case with their dot."""
    import av

    found = set(_SUFFIXES)
    for name in _CONTAINERS.split(","):
        for each in (name, *_WRITERS.get(name, ())):
            for mode in ("r", "w"):
                try:
                    found |= {f".{ending}" for ending in av.ContainerFormat(each, mode).extensions}
                except ValueError:  # this build of ffmpeg only reads or only writes it
                    continue
    return frozenset(found)
