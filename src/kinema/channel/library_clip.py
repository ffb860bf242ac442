"""The records of a library: clips and lines of the as-run log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .conform import Conformed


@dataclass(frozen=True)
class LibraryClip:
    """A conformed clip with its metadata. Times are seconds since 1970. aired: the number of airings; last_aired: None
    before the first. state: "ready", "banned" (by the owner) or "broken" (damaged file); reason: why. music: a file, or
    None. made_at: creation time, which orders new clips; a clip that continues another is placed right after it. bytes
    and sha256 are optional when a clip is added: they are computed from the file."""

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
    def of(cls, id: str, conformed: Conformed, title: str, **more: Any) -> LibraryClip:
        """A clip from the result of `conform`, with its title and further fields."""
        fields = {
            "path": conformed.path, "frames": conformed.frames, "fps": conformed.frames / conformed.seconds,
            "bytes": conformed.bytes, "fingerprint": conformed.fingerprint, "sha256": conformed.sha256,
            "made_at": time.time(),
        }  # fmt: skip
        return cls(id, title=title, **{**fields, **more})


@dataclass(frozen=True)
class Aired:
    """A line of the as-run log. at: program date-time of the first frame; frame: its number in the channel's frame
    count. kind: "fresh", "repeat", "queued" or "filler"."""

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
