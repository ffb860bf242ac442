"""Dates of `kinema history --since` and `--until`, in the local time zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ..core.errors import RequestError

LEGAL = "a month, a day or a minute, as 2026-11, 2026-11-29 or 2026-11-29 14:30"
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2})(?:[ T]([0-9]{2}):([0-9]{2}))?)?")


def span(text: str, field: str) -> tuple[datetime, datetime]:
    """Return begin and end (half-open) of a month, day or minute in the local time zone. Raises RequestError for other
    text."""
    found = _DATE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute = (None if part is None else int(part) for part in found.groups())
        begin = datetime(year or 0, month or 0, day or 1, hour or 0, minute or 0)
        if hour is not None:
            end = begin + timedelta(minutes=1)
        elif day is not None:
            end = begin + timedelta(days=1)
        else:
            end = datetime(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
        return begin.astimezone(), end.astimezone()
    except (ValueError, OverflowError, OSError):
        raise RequestError(f"--{field} {text!r} is not a date.", field=field, value=text, legal=LEGAL) from None


def between(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the beginning of `since` and the end of `until`. Raises RequestError if `until` is before `since`."""
    begin = span(since, "since")[0] if since is not None else None
    end = span(until, "until")[1] if until is not None else None
    if begin is not None and end is not None and end <= begin:
        raise RequestError(
            f"--until {until} is before --since {since}.", field="until", value=until, legal=f"{since} or later"
        )
    return begin, end
