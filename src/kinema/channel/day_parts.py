"""A daily schedule of themes, evaluated at a wall clock time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from ..core.errors import RequestError

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def holds(begin: int, until: int, minute: int) -> bool:
    """Whether a half-open part of the day contains a minute. A part that ends before it begins runs past midnight; a
    part that ends where it begins is the whole day."""
    return begin <= minute < until or (until <= begin and (minute >= begin or minute < until))


def zone(name: str) -> tzinfo | None:
    """The time zone of a name; None (the system time zone) if empty. ValueError: unknown time zone."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"timezone = {name!r} is unknown; legal: names such as Europe/Berlin, or empty") from None


@dataclass(frozen=True)
class DayParts:
    """parts: (begin, end, theme) in minutes of the day, half-open, in `timezone` (empty: the system's); an end before
    its begin runs past midnight. The first part that contains a time applies. On a 23-hour day the skipped hour does
    not air; on a 25-hour day the repeated hour airs twice."""

    parts: tuple[tuple[int, int, str], ...]
    timezone: str = ""

    @classmethod
    def parse(cls, rows: Sequence[Sequence[str]], timezone: str = "") -> DayParts:
        """Parse rows such as ["06:00", "09:30", "the sea"]. RequestError: an illegal row or time zone."""
        try:
            zone(timezone)
        except ValueError as error:
            raise RequestError(f"{error}.", field="timezone", value=timezone) from None
        parts = []
        for row in rows:
            times = [_TIME.fullmatch(text) for text in row[:2]]
            if len(row) != 3 or None in times or not row[2]:
                raise RequestError(
                    f"Illegal day part: {list(row)}.", field="schedule", value=list(row), legal="HH:MM, HH:MM, theme"
                )
            begin, end = (int(one[1]) * 60 + int(one[2]) for one in times if one is not None)
            parts.append((begin, end, row[2]))
        return cls(tuple(parts), timezone)

    def theme_at(self, now: float) -> str | None:
        """now: seconds since 1970."""
        local = datetime.fromtimestamp(now, zone(self.timezone))
        minute = local.hour * 60 + local.minute
        for begin, end, theme in self.parts:
            if holds(begin, end, minute):
                return theme
        return None
