"""How names of files end that the reader opens: what ffmpeg calls the formats of open.py, and the pictures'.

The reader itself goes by content. This is for whoever looks through a folder and must know which files to hand to it.
"""

from __future__ import annotations

from functools import cache

from kinema.media.decode_pictures import _SUFFIXES
from kinema.media.open import _CONTAINERS

_WRITERS = {
    "mpeg": ("vob", "svcd"), "mpegvideo": ("mpeg1video", "mpeg2video"), "ogg": ("ogv", "oga"), "asf": ("asf_stream",),
    "opus": ("oga",), "matroska": ("webm",),
}  # fmt: skip
"""ffmpeg's names of formats as they are written, where those differ from the name under which they are read."""


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
