"""Music beds of a channel: a few per theme, composed once, in FOLDER/music."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import ChannelConfig

_making = threading.Lock()  # two shots of one theme must not compose the same bed twice


def bed_for(config: ChannelConfig, theme: str, *, make: bool = True) -> Path | None:
    """The least recently used bed of a theme. If there is none, compose one, or return None with make=False. Always
    None if the channel has no music."""
    if not config.music.beds:
        return None
    own = _own(config, theme)
    if own:
        chosen = min(own, key=lambda path: path.stat().st_mtime)
        chosen.touch()
        return chosen
    return make_bed(config, theme) if make else None


def lacks_beds(config: ChannelConfig, theme: str) -> bool:
    """Whether a theme has fewer beds than `music.beds`."""
    return len(_own(config, theme)) < config.music.beds


def make_bed(config: ChannelConfig, theme: str) -> Path:
    """Compose another bed for a theme. Beyond `music.most`, the least recently used beds are deleted."""
    from ... import music

    settings, folder = config.music, config.root / "music"
    with _making:
        own = _own(config, theme)
        if len(own) >= settings.beds:
            return own[0]
        folder.mkdir(parents=True, exist_ok=True)
        target = next(path for path in _names(config, theme) if path not in own)
        words = f"{theme}, {settings.words}" if settings.words else theme
        seed = int(hashlib.sha256(target.stem.encode()).hexdigest()[:7], 16)
        music.save(music.make(words, settings.seconds, seed, model=settings.model or None), target)
        beds = sorted(folder.glob("bed-*.m4a"), key=lambda path: path.stat().st_mtime)
        for old in beds[: max(0, len(beds) - settings.most)]:
            if old != target:
                old.unlink(missing_ok=True)
    return target


def _names(config: ChannelConfig, theme: str) -> list[Path]:
    return [config.root / "music" / f"{bed_name(theme)}-{number}.m4a" for number in range(config.music.beds)]


def _own(config: ChannelConfig, theme: str) -> list[Path]:
    return [path for path in _names(config, theme) if path.is_file()]


def bed_name(theme: str) -> str:
    """The file name prefix of a theme's beds: bed-<words>-<hash>."""
    words = re.sub(r"[^a-z0-9]+", "-", theme.lower()).strip("-")[:40].strip("-")
    return f"bed-{words}-{hashlib.sha256(theme.encode()).hexdigest()[:6]}"
