"""The day of a channel: parts with themes, in the channel's own time zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, Field, field_validator

from ..core.conditions import Value
from .day_parts import holds
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
        hours, colon, minutes = str(said).partition(":")
        if not (colon and hours.isdigit() and minutes.isdigit() and int(hours) <= 24 and int(minutes) < 60):
            raise ValueError('is a time of day, as "06:30"')
        return (int(hours) * 60 + int(minutes)) % MINUTES

    def holds(self, minute: int) -> bool:
        return holds(self.begin, self.until, minute)

    def __str__(self) -> str:
        return f"{told(self.begin)}-{told(self.until)}"


@dataclass(frozen=True)
class Clock:
    """Now, in the channel's zone; `name` empty is the machine's own."""

    name: str = ""

    def now(self) -> datetime:
        return datetime.now(zone(self.name)) if self.name else datetime.now().astimezone()


def zone(name: str) -> tzinfo | None:
    """ValueError where no such time zone is known; None (this machine's own) for an empty name."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"timezone = {name!r} is unknown; legal: names as Europe/Berlin, or empty") from None


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


def upcoming(parts: Sequence[DayPart], fallback: str, when: datetime) -> list[str]:
    """Themes in the order in which they are on air from `when` on, each once; `fallback` is on between parts."""
    if not parts:
        return [fallback]
    found: list[str] = []
    for minutes in range(0, MINUTES + 1, 5):
        part = part_at(parts, when + timedelta(minutes=minutes))
        theme = part.theme if part is not None else fallback
        if theme not in found:
            found.append(theme)
    return found


def told(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
