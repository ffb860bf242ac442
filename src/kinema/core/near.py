"""The right name for a mistyped one: named only where it is near."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one is most like, in any case and with hyphens or underscores, or the first of
    which it is a part ("wan" of "kinema-mini-wan"); None where none is near."""
    plain = {each.lower().replace("-", "_"): each for each in known}
    wanted = name.lower().replace("-", "_")
    parts = [each for each in plain if wanted in each.split("_")] if len(wanted) >= 3 else []
    close = (
        difflib.get_close_matches(wanted, plain, n=1, cutoff=0.8)
        or parts
        or difflib.get_close_matches(wanted, plain, n=1, cutoff=0.6)
    )
    return plain[close[0]] if close else None
