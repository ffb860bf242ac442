"""Beds of music for a channel: a few for each theme, made once, in FOLDER/music."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import ChannelConfig

_making = threading.Lock()  # two shots of one theme do not make the same bed twice


def bed_for(config: ChannelConfig, theme: str) -> Path | None:
    """A bed for a theme: a new one until there are enough of them, else the one that was given longest ago. None where
    the channel makes no music. Beyond `music.most`, the oldest of other themes is deleted."""
    if not config.music.beds:
        return None
    with _making:
        return _bed_for(config, theme)


def _bed_for(config: ChannelConfig, theme: str) -> Path:
    from .. import music

    settings = config.music
    folder = config.root / "music"
    folder.mkdir(parents=True, exist_ok=True)
    stem = bed_name(theme)
    own = [path for number in range(settings.beds) if (path := folder / f"{stem}-{number}.m4a").is_file()]
    if len(own) >= settings.beds:
        chosen = min(own, key=lambda path: path.stat().st_mtime)
        chosen.touch()
        return chosen
    target = next(
        path for number in range(settings.beds) if not (path := folder / f"{stem}-{number}.m4a").is_file()
    )  # fmt: skip
    words = f"{theme}, {settings.words}" if settings.words else theme
    seed = int(hashlib.sha256(target.stem.encode()).hexdigest()[:7], 16)
    track = music.make(words, settings.seconds, seed, model=settings.model or None)
    music.save(track, target)
    beds = sorted(folder.glob("bed-*.m4a"), key=lambda path: path.stat().st_mtime)
    for old in beds[: max(0, len(beds) - settings.most)]:
        if old != target:
            old.unlink(missing_ok=True)
    return target


def bed_name(theme: str) -> str:
    """How beds of a theme are called: bed-<words>-<hash>."""
    words = re.sub(r"[^a-z0-9]+", "-", theme.lower()).strip("-")[:40].strip("-")
    return f"bed-{words}-{hashlib.sha256(theme.encode()).hexdigest()[:6]}"
