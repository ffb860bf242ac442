"""How names of files end that the reader opens: what ffmpeg calls the formats of open.py, and the pictures'.

The reader itself goes by content. This is for whoever looks through a folder and must know which files to hand to it.
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
"""ffmpeg's names of formats as they are written, where those differ from the name under which they are read."""


RATES = {".gif": 50.0}
"""The most frames a second, by the ending of a file that is written."""
LEAST_RATE, MOST_RATE = 0.1, 1000.0


def check_rate(name: str, fps: float) -> None:
    """RequestError where a file of this name cannot be written with so many frames a second."""
    ending = Path(f"x{name}" if name.startswith(".") else name).suffix.lower()
    most = RATES.get(ending, MOST_RATE)
    if not LEAST_RATE <= fps <= most:
        what = f"A {ending[1:].upper()} shows" if ending in RATES else "A clip shows"
        near = LEAST_RATE if fps < LEAST_RATE else most
        raise RequestError(
            f"{fps:g} frames a second. {what} {most:g} at most.", field="fps", value=fps,
            legal=f"{LEAST_RATE:g} to {most:g}" + (", or a .mp4 or .webm file" if ending in RATES else ""),
            nearest=f"{near:g}",
        )  # fmt: skip


@cache
def readable() -> frozenset[str]:
    """Suffixes with their dot, in lower case, of video, sound and pictures."""
    import av

    found = set(_SUFFIXES)
    for name in _CONTAINERS.split(","):
        for each in (name, *_WRITERS.get(name, ())):
            for mode in ("r", "w"):
                try:
                    found |= {f".{ending}" for ending in av.ContainerFormat(each, mode).extensions}
                except ValueError:  # this build reads or writes it only
                    continue
    return frozenset(found)
