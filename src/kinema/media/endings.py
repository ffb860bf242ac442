"""Suffixes of readable files: those that ffmpeg lists for the formats of open.py, and those of pictures.

The reader itself detects formats by content; the suffixes select files in a folder.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..core.errors import RequestError
from .decode_pictures import _SUFFIXES
from .open import _CONTAINERS

_WRITERS = {
    "mpeg": ("vob", "svcd"), "mpegvideo": ("mpeg1video", "mpeg2video"), "ogg": ("ogv", "oga"), "asf": ("asf_stream",),
    "opus": ("oga",), "matroska": ("webm",),
}  # fmt: skip
"""ffmpeg's muxers whose names differ from the demuxers'."""


RATES = {".gif": 50.0}
"""Maximum fps by the suffix of the written file."""
LEAST_RATE, MOST_RATE = 0.1, 1000.0


def check_rate(name: str, fps: float) -> None:
    """RequestError if a file of this name cannot be written at this frame rate."""
    ending = Path(f"x{name}" if name.startswith(".") else name).suffix.lower()
    most = RATES.get(ending, MOST_RATE)
    if not LEAST_RATE <= fps <= most:
        kind = f"{ending} files" if ending in RATES else "clips"
        near = LEAST_RATE if fps < LEAST_RATE else most
        raise RequestError(
            f"The frame rate of {kind} must be {LEAST_RATE:g} to {most:g} fps, got {fps:g}.", field="fps", value=fps,
            legal=f"{LEAST_RATE:g} to {most:g}" + (", or a .mp4 or .webm file" if ending in RATES else ""),
            nearest=f"{near:g}",
        )  # fmt: skip


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
