"""Strict parsing of decimal numbers. Python's int and float also accept digit groups ("5_0" for 50), digits of any
script, surrounding spaces, "nan" and "infinity", so typing errors would pass as other numbers.
"""

from __future__ import annotations

import re
from numbers import Real
from typing import Any

_WHOLE = re.compile(r"[+-]?[0-9]{1,4000}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
MAX_CHARS = 400


def integer(text: Any) -> int:
    """Parse a whole number: an optional sign and digits 0 to 9. Numbers pass unchanged. ValueError for anything else,
    including booleans."""
    if isinstance(text, Real) and not isinstance(text, bool) and text == text // 1:
        return int(text)  # type: ignore[call-overload, no-any-return]
    if not isinstance(text, str) or len(text) > MAX_CHARS or not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a plain whole number such as 50")
    return int(text)


def decimal(text: Any) -> float:
    """Parse a number: an optional sign, digits 0 to 9 with a point, an exponent (1e-4). Numbers pass unchanged.
    ValueError for anything else, including booleans, NaN, infinity and values too large for a float."""
    if isinstance(text, Real) and not isinstance(text, bool):
        text = repr(float(text))
    if not isinstance(text, str) or len(text) > MAX_CHARS or not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is not a plain number such as 0.5")
    found = float(text)
    if found in (float("inf"), float("-inf")):
        raise ValueError(f"{text!r} is too large a number")
    return found
