"""A schedule: which theme the clock of the house asks for."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import RequestError

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def holds(begin: int, until: int, minute: int) -> bool:
    """Does a part of the day, half-open, hold this minute of it? One that ends before it begins runs past midnight; one
    that ends as it begins is the whole day."""
    return begin <= minute < until or (until <= begin and (minute >= begin or minute < until))


@dataclass(frozen=True)
class DayParts:
    """parts: (begin, end, theme) in minutes of the day, local time, half-open; an end before its begin runs past
    midnight. The first that holds the moment counts."""

    parts: tuple[tuple[int, int, str], ...]

    @classmethod
    def parse(cls, rows: Sequence[Sequence[str]]) -> DayParts:
        """From rows such as ["06:00", "09:30", "the sea"]. RequestError: not such a row."""
        parts = []
        for row in rows:
            found = [_TIME.fullmatch(text) for text in row[:2]]
            if len(row) != 3 or None in found or not row[2]:
                raise RequestError(
                    f"Day part {list(row)}.", field="schedule", value=list(row), legal="HH:MM, HH:MM, theme"
                )
            begin, end = (int(one[1]) * 60 + int(one[2]) for one in found if one is not None)
            parts.append((begin, end, row[2]))
        return cls(tuple(parts))

    def theme_at(self, now: float) -> str | None:
        """now: seconds since 1970."""
        local = time.localtime(now)
        minute = local.tm_hour * 60 + local.tm_min
        for begin, end, theme in self.parts:
            if holds(begin, end, minute):
                return theme
        return None
