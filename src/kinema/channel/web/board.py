"""What the site knows of the channel, looked up at most once a second however many ask.

It reads what the playout and the library leave in the channel's folder and needs neither to be alive: without them it
says what it knew last, and that the channel is not on air.
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
"""A playout that has not written its state for so long is not on air."""
LINES, GUIDE_LINES, DAY_S = 60, 5000, 24 * 3600


@dataclass(frozen=True)
class BoardView:
    """airings: the latest first, as-run lines of the library. playout: state/status.json, {} where there is none.
    clips: those of the airings, by id."""

    on_air: bool = False
    name: str = ""
    airings: tuple[Aired, ...] = ()
    playout: dict[str, Any] = field(default_factory=dict)
    clips: dict[str, LibraryClip] = field(default_factory=dict)
    trouble: str = ""


class Board:
    """name: what the channel is called while its playout has not said so. schedule: day parts (day_parts.py), by the
    clock of timezone."""

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
        """May be called from any thread."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_S:
                self._view = self._anew()
                self._looked = time.monotonic()
            return self._view

    def close(self) -> None:
        with self._lock:
            if self._library is not None:
                self._library.close()
            self._library = None

    def now(self, at: float | None = None) -> dict[str, Any]:
        """What a viewer whose picture is dated `at` sees, what comes then, and what was on lately; dates are seconds
        since 1970. Without `at`: what is going out."""
        view = self.look()
        moment = self.wall() if at is None else at
        airing = guide.on_at(view.airings, moment)
        if airing is None and at is None and view.on_air and view.airings:
            airing = view.airings[0]
        later = sorted((line for line in view.airings if line.at > (airing or _never(moment)).at), key=lambda o: o.at)
        coming = [self._told(line, view) for line in later]
        if view.on_air:
            coming += [_promised(clip) for clip in view.playout.get("next", ())]
        return {
            "name": view.name, "hue": hue(view.name), "on_air": view.on_air, "time": self.wall(), "at": moment,
            "now": self._told(airing, view) if airing else None, "next": coming[0] if coming else None,
            "coming": coming[:6], "recent": [self._told(line, view) for line in view.airings],
            "music": view.playout.get("music") if view.on_air else None, "theme": self.theme_at(moment),
        }  # fmt: skip

    def schedule(self) -> list[dict[str, Any]]:
        """The coming day: parts of it with one theme each, (begin, end) as seconds since 1970, without holes."""
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
        """XMLTV: what was on, as programmes of one theme, and the day to come."""
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

    def _anew(self) -> BoardView:
        said = guide.status(self.folder) or {}
        on_air = bool(said) and abs(self.wall() - float(said.get("written_at", 0))) < SILENT_S
        try:
            if self._library is None:
                self._library = Library(self.folder, create=False, patience_s=0.5)
            airings = tuple(self._library.as_run(LINES))
            ids = {line.id for line in airings if line.kind != "filler"}
            clips = {id: clip for id in ids if (clip := self._library.get(id)) is not None}
            trouble = ""
        except (KinemaError, OSError) as error:
            if not self._view.trouble:
                log.warning("the site cannot look at the library: %s", error)
            airings, clips, trouble = self._view.airings, self._view.clips, str(error)
            self._library = None
        return BoardView(on_air, str(said.get("name") or self._view.name or self.name), airings, said, clips, trouble)

    @staticmethod
    def _told(line: Aired, view: BoardView) -> dict[str, Any]:
        """An airing as the page shows it. What the owner banned is not spoken of any more."""
        clip = view.clips.get(line.id)
        is_banned = clip is not None and clip.state == "banned"
        title, prompt = (line.title, clip.prompt if clip is not None else "") if not is_banned else ("", "")
        return {
            "id": line.id, "title": title or view.name, "theme": line.theme, "kind": line.kind, "at": line.at,
            "until": line.until, "prompt": prompt,
        }  # fmt: skip


def hue(name: str) -> int:
    """The channel's colour, in degrees: that of its ident."""
    return round(360 * int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big") / 65536) % 360


def _promised(clip: dict[str, Any]) -> dict[str, Any]:
    """What the playout has ready; when it will be on is not known to the second."""
    return {**{name: clip.get(name, "") for name in ("id", "title", "theme", "kind")}, "at": None, "until": None,
            "prompt": clip.get("prompt", "")}  # fmt: skip


def _never(moment: float) -> Aired:
    return Aired(moment, "", "filler", "", "", 0, 0, 24.0)
