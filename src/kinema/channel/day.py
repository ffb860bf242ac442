"""The day of a channel: parts with themes, in the channel's own time zone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AliasChoices, Field, field_validator

from ..core.conditions import Value
from .day_parts import holds, zone
from .writing.shots import ThemeText

MINUTES = 24 * 60


class DayPart(Value):
    """From one time of day until another ("06:00"; past midnight where `until` is the earlier one): this theme."""

    begin: Annotated[int, Field(validation_alias=AliasChoices("from", "begin"), ge=0, lt=MINUTES)]
    until: Annotated[int, Field(ge=0, lt=MINUTES)]
    theme: ThemeText

    @field_validator("begin", "until", mode="before")
    @classmethod
    def _time(cls, said: Any) -> Any:
        """Minutes since midnight from "HH:MM" ("24:00" is midnight) or a TOML time."""
        if hasattr(said, "hour") and hasattr(said, "minute"):
            return said.hour * 60 + said.minute
        if isinstance(said, int) and not isinstance(said, bool):
            return said
        found = re.fullmatch(r"([0-9]{1,2}):([0-9]{1,2})", str(said))
        if found is None or int(found[1]) > 24 or int(found[2]) >= 60:
            raise ValueError('is a time of day, as "06:30"')
        return (int(found[1]) * 60 + int(found[2])) % MINUTES

    def holds(self, minute: int) -> bool:
        return holds(self.begin, self.until, minute)

    def __str__(self) -> str:
        return f"{told(self.begin)}-{told(self.until)}"


@dataclass(frozen=True)
class ZoneClock:
    """Now, in the channel's zone; `name` empty is the machine's own."""

    name: str = ""

    def now(self) -> datetime:
        return self.at(time.time())

    def at(self, seconds: float) -> datetime:
        """seconds: since 1970."""
        where = zone(self.name)
        return datetime.fromtimestamp(seconds, where) if where else datetime.fromtimestamp(seconds).astimezone()


def check_day(parts: Sequence[DayPart]) -> None:
    """ValueError where two parts of the day claim the same minute, or one has no length."""
    for number, part in enumerate(parts):
        if part.begin == part.until and len(parts) > 1:
            raise ValueError(f"part {part} takes the whole day; it can only be alone")
        for other in parts[:number]:
            if part.holds(other.begin) or other.holds(part.begin):
                raise ValueError(f"the parts {other} and {part} overlap")


def part_at(parts: Sequence[DayPart], when: datetime) -> DayPart | None:
    """The part that a time falls into; None between parts."""
    minute = when.hour * 60 + when.minute
    return next((part for part in parts if part.holds(minute)), None)


def upcoming(
    parts: Sequence[DayPart], fallback: str, when: datetime, at: Callable[[float], datetime] | None = None
) -> list[str]:
    """Themes in the order in which they are on air from `when` on, each once; `fallback` is on between parts. at: the
    clock that they go by (Clock.at), where `when` does not know of its changes."""
    if not parts:
        return [fallback]
    at, begin = at or (lambda seconds: datetime.fromtimestamp(seconds, when.tzinfo)), when.timestamp()
    found: list[str] = []
    for minutes in range(0, MINUTES + 60 + 1, 5):  # a day may have 25 hours
        part = part_at(parts, at(begin + 60 * minutes))
        theme = part.theme if part is not None else fallback
        if theme not in found:
            found.append(theme)
    return found


def told(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
