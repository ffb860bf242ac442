"""The channel's state as shown by the site, refreshed at most once a second whatever the number of requests.

It reads the files of the playout and the library in the channel's folder. Neither needs to run: without them, the site
shows the last state and that the channel is off air.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError
from ..airing import guide
from ..day_parts import DayParts
from ..library import Aired, Library, LibraryClip

log = logging.getLogger("kinema.channel")
LOOK_S = 1.0
SILENT_S = 10.0
"""A playout whose status file is older than this is off air."""
LINES, GUIDE_LINES, DAY_S = 60, 5000, 24 * 3600


@dataclass(frozen=True)
class BoardView:
    """A snapshot. airings: as-run lines, the latest first. playout: state/status.json, or {}. clips: the clips of the
    airings, by id."""

    on_air: bool = False
    name: str = ""
    airings: tuple[Aired, ...] = ()
    playout: dict[str, Any] = field(default_factory=dict)
    clips: dict[str, LibraryClip] = field(default_factory=dict)
    trouble: str = ""


class Board:
    """name: the channel's name until its playout reports one. schedule: day parts (day_parts.py) in `timezone`."""

    def __init__(
        self, folder: Path, name: str = "Kinema", schedule: Sequence[Sequence[str]] = (), theme: str = "",
        wall: Callable[[], float] = time.time, timezone: str = "",
    ) -> None:  # fmt: skip
        self.folder, self.name, self.theme, self.wall = folder, name, theme, wall
        self.parts = DayParts.parse(schedule, timezone)
        self._view, self._looked = BoardView(name=name), -LOOK_S
        self._library: Library | None = None
        self._lock = threading.Lock()

    def look(self) -> BoardView:
        """The current snapshot. Thread-safe."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_S:
                self._view = self._refreshed()
                self._looked = time.monotonic()
            return self._view

    def close(self) -> None:
        with self._lock:
            if self._library is not None:
                self._library.close()
            self._library = None

    def now(self, at: float | None = None) -> dict[str, Any]:
        """Current, next and recent airings for a viewer whose picture has the date `at`, in seconds since 1970; without
        `at`, those being sent."""
        view = self.look()
        moment = self.wall() if at is None else at
        airing = guide.on_at(view.airings, moment)
        if airing is None and at is None and view.on_air and view.airings:
            airing = view.airings[0]
        later = sorted((line for line in view.airings if line.at > (airing or _never(moment)).at), key=lambda o: o.at)
        coming = [self._entry(line, view) for line in later]
        if view.on_air:
            coming += [_upcoming(clip) for clip in view.playout.get("next", ())]
        return {
            "name": view.name, "hue": hue(view.name), "on_air": view.on_air, "time": self.wall(), "at": moment,
            "now": self._entry(airing, view) if airing else None, "next": coming[0] if coming else None,
            "coming": coming[:6], "recent": [self._entry(line, view) for line in view.airings],
            "music": view.playout.get("music") if view.on_air else None, "theme": self.theme_at(moment),
        }  # fmt: skip

    def schedule(self) -> list[dict[str, Any]]:
        """The next 24 hours as parts of one theme each, without gaps; begin and end are seconds since 1970."""
        now = self.wall()
        begin = now - now % 60
        rows: list[dict[str, Any]] = []
        for minute in range(DAY_S // 60):
            at = begin + 60 * minute
            theme = self.theme_at(at)
            if rows and rows[-1]["theme"] == theme:
                rows[-1]["end"] = at + 60
            else:
                rows.append({"begin": at, "end": at + 60, "theme": theme})
        return rows

    def guide(self, id: str) -> str:
        """The XMLTV guide: past programmes, and the schedule of the next day."""
        now, lines = self.now(), list(self.look().airings)
        with (
            contextlib.suppress(KinemaError, OSError),
            Library(self.folder, create=False, patience_s=1.0) as library,
        ):
            lines = library.as_run(GUIDE_LINES)
        frame, end = max(((line.frame, line.until) for line in lines), default=(0, now["time"]))
        for part in self.schedule():
            begin = max(part["begin"], end)
            if part["end"] > begin:
                frame += 1
                theme = part["theme"] or now["name"]
                lines.append(Aired(begin, "", "planned", "", theme, frame, round((part["end"] - begin) * 24), 24.0))
        return guide.xmltv(id, now["name"], lines, hours_ahead=0.0)

    def theme_at(self, at: float) -> str:
        return self.parts.theme_at(at) or self.theme

    def _refreshed(self) -> BoardView:
        state = guide.status(self.folder) or {}
        on_air = bool(state) and abs(self.wall() - float(state.get("written_at", 0))) < SILENT_S
        try:
            if self._library is None:
                self._library = Library(self.folder, create=False, patience_s=0.5)
            airings = tuple(self._library.as_run(LINES))
            ids = {line.id for line in airings if line.kind != "filler"}
            clips = {id: clip for id in ids if (clip := self._library.get(id)) is not None}
            trouble = ""
        except (KinemaError, OSError) as error:
            if not self._view.trouble:
                log.warning("the site cannot read the library: %s", error)
            airings, clips, trouble = self._view.airings, self._view.clips, str(error)
            self._library = None
        name = str(state.get("name") or self._view.name or self.name)
        return BoardView(on_air, name, airings, state, clips, trouble)

    @staticmethod
    def _entry(line: Aired, view: BoardView) -> dict[str, Any]:
        """An airing as shown on the page. Banned clips have no title and prompt."""
        clip = view.clips.get(line.id)
        is_banned = clip is not None and clip.state == "banned"
        title, prompt = (line.title, clip.prompt if clip is not None else "") if not is_banned else ("", "")
        return {
            "id": line.id, "title": title or view.name, "theme": line.theme, "kind": line.kind, "at": line.at,
            "until": line.until, "prompt": prompt,
        }  # fmt: skip


def hue(name: str) -> int:
    """The channel's hue in degrees, the same as in its ident."""
    return round(360 * int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big") / 65536) % 360


def _upcoming(clip: dict[str, Any]) -> dict[str, Any]:
    """A clip that the playout has ready, without an exact time."""
    return {**{name: clip.get(name, "") for name in ("id", "title", "theme", "kind")}, "at": None, "until": None,
            "prompt": clip.get("prompt", "")}  # fmt: skip


def _never(moment: float) -> Aired:
    return Aired(moment, "", "filler", "", "", 0, 0, 24.0)
