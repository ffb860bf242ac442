"""Files for the media of requests while a graph is planned: pictures that are at hand, and stand-ins for the rest."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .cache import NodeCache
from .descriptions import MediaUse
from .keys import Keys
from .media_files import SUFFIX, num_frames, stand_in, write_media


class PlanningFiles:
    """folder: of the stand-ins."""

    def __init__(self, folder: Path, cache: NodeCache, keys: Keys) -> None:
        self.folder, self.cache, self.keys = folder, cache, keys
        self.count = 0

    def still(self, media: MediaUse, width: int, height: int, /) -> str | None:
        """The file of one picture that no sampler has to make, resized; None for others."""
        if num_frames(media) > 1 or self.keys.planned.needs_sampler(media.link[0]):
            return None
        make = partial(write_media, media, width, height)
        return str(self.cache.get(self.keys.media(media, width, height), SUFFIX, make))

    def stand_in(self, media: MediaUse, size: tuple[int, int] | None, /) -> str:
        """A file of the media's shape without its content. size: (width, height), if it is known."""
        self.count += 1
        return str(stand_in(media, size, self.folder / f"{self.count}{SUFFIX}"))
