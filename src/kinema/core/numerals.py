"""Numbers as people type them: plain decimal ones. Python's own int and float also take groups ("5_0" for 50), the
digits of every script, spaces around, "nan" and "infinity"; what was a slip of the hand would pass for another number.
"""

from __future__ import annotations

import re
from numbers import Real
from typing import Any

_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
MAX_CHARS = 400


def integer(text: Any) -> int:
    """A whole number: a sign, digits 0 to 9. Takes a number as it is. ValueError for all else, true and false too."""
    if isinstance(text, Real) and not isinstance(text, bool) and text == text // 1:
        return int(text)  # type: ignore[call-overload, no-any-return]
    if not isinstance(text, str) or len(text) > MAX_CHARS or not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is no plain whole number, as 50")
    return int(text)


def decimal(text: Any) -> float:
    """A number: a sign, digits 0 to 9 with a point, an exponent (1e-4). Takes a number as it is. ValueError for all
    else: true, false, NaN and infinity too, and what is too large for a float."""
    if isinstance(text, Real) and not isinstance(text, bool):
        text = repr(float(text))
    if not isinstance(text, str) or len(text) > MAX_CHARS or not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is no plain number, as 0.5")
    found = float(text)
    if found in (float("inf"), float("-inf")):
        raise ValueError(f"{text!r} is too large a number")
    return found
