"""Suggestions for mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most similar to `name`, ignoring case and hyphens versus underscores, or the first that contains
    it as a part ("wan" in "kinema-mini-wan"); None if no name is similar."""
    plain = {each.lower().replace("-", "_"): each for each in known}
    wanted = name.lower().replace("-", "_")
    parts = [each for each in plain if wanted in each.split("_")] if len(wanted) >= 3 else []
    close = (
        difflib.get_close_matches(wanted, plain, n=1, cutoff=0.8)
        or parts
        or difflib.get_close_matches(wanted, plain, n=1, cutoff=0.6)
    )
    return plain[close[0]] if close else None
