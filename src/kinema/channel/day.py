"""The schedule of a channel file: parts of the day with themes, in the channel's time zone."""

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
    """A theme from one time of day ("06:00") until another; past midnight if `until` is earlier than `from`."""

    begin: Annotated[int, Field(validation_alias=AliasChoices("from", "begin"), ge=0, lt=MINUTES)]
    until: Annotated[int, Field(ge=0, lt=MINUTES)]
    theme: ThemeText

    @field_validator("begin", "until", mode="before")
    @classmethod
    def _time(cls, value: Any) -> Any:
        """Minutes since midnight from "HH:MM" ("24:00" is midnight) or a TOML time."""
        if hasattr(value, "hour") and hasattr(value, "minute"):
            return value.hour * 60 + value.minute
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        match = re.fullmatch(r"([0-9]{1,2}):([0-9]{1,2})", str(value))
        if match is None or int(match[1]) > 24 or int(match[2]) >= 60:
            raise ValueError('must be a time of day such as "06:30"')
        return (int(match[1]) * 60 + int(match[2])) % MINUTES

    def holds(self, minute: int) -> bool:
        return holds(self.begin, self.until, minute)

    def __str__(self) -> str:
        return f"{time_text(self.begin)}-{time_text(self.until)}"


@dataclass(frozen=True)
class ZoneClock:
    """The wall clock in the channel's time zone. An empty `name` is the system time zone."""

    name: str = ""

    def now(self) -> datetime:
        return self.at(time.time())

    def at(self, seconds: float) -> datetime:
        """seconds: since 1970."""
        where = zone(self.name)
        return datetime.fromtimestamp(seconds, where) if where else datetime.fromtimestamp(seconds).astimezone()


def check_day(parts: Sequence[DayPart]) -> None:
    """Raise ValueError if two parts of the day overlap."""
    for number, part in enumerate(parts):
        if part.begin == part.until and len(parts) > 1:
            raise ValueError(f"part {part} covers the whole day; it must be the only part")
        for other in parts[:number]:
            if part.holds(other.begin) or other.holds(part.begin):
                raise ValueError(f"the parts {other} and {part} overlap")


def part_at(parts: Sequence[DayPart], when: datetime) -> DayPart | None:
    """The part that contains a time; None between parts."""
    minute = when.hour * 60 + when.minute
    return next((part for part in parts if part.holds(minute)), None)


def upcoming(
    parts: Sequence[DayPart], fallback: str, when: datetime, at: Callable[[float], datetime] | None = None
) -> list[str]:
    """Themes in the order in which they air from `when` on, without duplicates; `fallback` airs between parts. at:
    converts seconds to local time (ZoneClock.at); needed if `when` has a fixed offset."""
    if not parts:
        return [fallback]
    at, begin = at or (lambda seconds: datetime.fromtimestamp(seconds, when.tzinfo)), when.timestamp()
    themes: list[str] = []
    for minutes in range(0, MINUTES + 60 + 1, 5):  # a day may have 25 hours
        part = part_at(parts, at(begin + 60 * minutes))
        theme = part.theme if part is not None else fallback
        if theme not in themes:
            themes.append(theme)
    return themes


def time_text(minute: int) -> str:
    """HH:MM of a minute of the day."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
