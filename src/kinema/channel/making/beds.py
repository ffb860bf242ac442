"""Music beds of a channel: a few per theme, composed once by jobs, in FOLDER/music."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.whole import whole

if TYPE_CHECKING:
    from ..config import ChannelConfig


def bed_for(config: ChannelConfig, theme: str) -> Path | None:
    """The least recently used bed of a theme. None if it has none yet, or the channel has no music."""
    own = [path for path in _names(config, theme) if path.is_file()]
    if not own:
        return None
    chosen = min(own, key=lambda path: path.stat().st_mtime)
    chosen.touch()
    return chosen


def missing_bed(config: ChannelConfig, theme: str) -> str:
    """The file name of a bed that a theme lacks; "" if it has all its `music.beds`."""
    return next((path.name for path in _names(config, theme) if not path.is_file()), "")


def bed_job(config: ChannelConfig, token: str, theme: str, name: str) -> dict[str, Any]:
    """The body of the job that composes a bed. token: of the channel."""
    settings, stem = config.music, Path(name).stem
    return {
        "id": f"{token}-{stem}", "words": f"{theme}, {settings.words}" if settings.words else theme,
        "seconds": settings.seconds, "seed": int(hashlib.sha256(stem.encode()).hexdigest()[:7], 16),
        "model": settings.model,
    }  # fmt: skip


def add_bed(config: ChannelConfig, name: str, composed: Path) -> Path:
    """Copy a composed bed into the channel. Beyond `music.most`, the least recently used beds are deleted."""
    folder = config.root / "music"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    with whole(target) as partial:
        shutil.copyfile(composed, partial)
    beds = sorted(folder.glob("bed-*.m4a"), key=lambda path: path.stat().st_mtime)
    for old in beds[: max(0, len(beds) - config.music.most)]:
        if old != target:
            old.unlink(missing_ok=True)
    return target


def bed_name(theme: str) -> str:
    """The file name prefix of a theme's beds: bed-<words>-<hash>."""
    words = re.sub(r"[^a-z0-9]+", "-", theme.lower()).strip("-")[:40].strip("-")
    return f"bed-{words}-{hashlib.sha256(theme.encode()).hexdigest()[:6]}"


def _names(config: ChannelConfig, theme: str) -> list[Path]:
    return [config.root / "music" / f"{bed_name(theme)}-{number}.m4a" for number in range(config.music.beds)]
