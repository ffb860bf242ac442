"""Names of results: the prefix of a saving node, with its placeholders filled in."""

from __future__ import annotations

import posixpath
import re
import time

from ...core.errors import RequestError

_PLACE = re.compile(r"%(width|height|year|month|day|hour|minute|second)%")
_TIMES = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
LONGEST = 200
"""Bytes of one folder or name: a counter and a suffix follow."""


def filled(prefix: str, width: int, height: int, now: time.struct_time | None = None) -> str:
    """The prefix with %width%, %height% and the parts of the local time, as folders and a name below the results.

    "/" and "\\" separate folders. RequestError: a prefix that leaves the folder of results, has no name, is too long,
    or holds control characters."""
    now = now or time.localtime()

    def value(found: re.Match[str]) -> str:
        size = {"width": width, "height": height}
        return str(size[found[1]]) if found[1] in size else time.strftime(_TIMES[found[1]], now)

    path = _PLACE.sub(value, prefix).replace("\\", "/")
    plain = posixpath.normpath(path)
    parts = plain.split("/")
    is_inside = not path.startswith("/") and ".." not in parts and ":" not in parts[0]
    has_name = plain not in (".", "") and not path.endswith("/")
    is_sound = path.isprintable() and all(len(part.encode()) <= LONGEST for part in parts)
    if not (is_inside and has_name and is_sound):
        raise RequestError(
            f"filename_prefix = {prefix!r:.120}.", field="filename_prefix", value=prefix[:500],
            legal=f"a name, or folders and a name below the folder of results, of at most {LONGEST} bytes each",
        )  # fmt: skip
    return plain
