"""Files for the media of requests while a graph is planned: pictures that are at hand, and stand-ins for the rest."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .cache import NodeCache
from .descriptions import MediaUse
from .keys import Keys
from .media_files import SUFFIX, Canvas, stand_in, write_media


class PlanningFiles:
    """folder: of the stand-ins."""

    def __init__(self, folder: Path, cache: NodeCache, keys: Keys) -> None:
        self.folder, self.cache, self.keys = folder, cache, keys
        self.count = 0

    def path(self, media: MediaUse, canvas: Canvas, /) -> tuple[Path, bool]:
        """The file of one picture that no sampler has to make, resized, and False; for others one of the same shape
        without the content, and True."""
        if media.is_clip or self.keys.planned.needs_sampler(media.link[0]):
            self.count += 1
            return stand_in(media, canvas, self.folder / f"{self.count}{SUFFIX}"), True
        return self.cache.get(self.keys.media(media, canvas), SUFFIX, partial(write_media, media, canvas)), False
