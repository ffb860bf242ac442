"""What a library holds: clips, and the lines of the as-run log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .conform import Conformed


@dataclass(frozen=True)
class LibraryClip:
    """A conformed clip and what is known of it. Times are seconds since 1970. aired: how often; last_aired: None before
    the first time. state: "ready", "banned" (by a person) or "broken" (found so); reason: why. music: a file, or None.
    made_at: when, and so its place among new clips; of a clip that goes on from another, right after that one.
    bytes and sha256 may be left out when a clip is added: they are read off the file."""

    id: str
    path: Path
    title: str
    prompt: str = ""
    theme: str = ""
    frames: int = 0
    fps: float = 24.0
    fingerprint: str = ""
    bytes: int = 0
    made_at: float = 0.0
    aired: int = 0
    last_aired: float | None = None
    state: str = "ready"
    reason: str = ""
    shot: dict[str, Any] = field(default_factory=dict)
    music: Path | None = None
    sha256: str = ""

    @property
    def seconds(self) -> float:
        return self.frames / self.fps

    @classmethod
    def of(cls, id: str, made: Conformed, title: str, **more: Any) -> LibraryClip:
        """A clip as `conform` gives it, with its title and whatever else is known."""
        known = {
            "path": made.path, "frames": made.frames, "fps": made.frames / made.seconds, "bytes": made.bytes,
            "fingerprint": made.fingerprint, "sha256": made.sha256, "made_at": time.time(),
        }  # fmt: skip
        return cls(id, title=title, **{**known, **more})


@dataclass(frozen=True)
class Aired:
    """A line of the as-run log. at: program date-time of the first frame; frame: its number on the channel's counter.
    kind: "fresh", "repeat", "queued" or "filler"."""

    at: float
    id: str
    kind: str
    title: str
    theme: str
    frame: int
    frames: int
    fps: float

    @property
    def until(self) -> float:
        return self.at + self.frames / self.fps
