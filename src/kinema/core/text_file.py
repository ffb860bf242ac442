"""Text files from any editor: detection of their encoding.

A byte order mark decides (UTF-8, UTF-16 and UTF-32, both byte orders), then UTF-8, then Windows' cp1252, which older
editors and spreadsheets write. The result includes a note for the user if the encoding was guessed.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import NamedTuple

from .errors import KinemaError
from .outside import read_bytes

MAX_TEXT_BYTES = 2**20
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Text(NamedTuple):
    """text: without a byte order mark, with "\\n" line ends. note: the guess about the encoding, or ""."""

    text: str
    note: str = ""


def decode(data: bytes, what: str, *, error: type[KinemaError] = KinemaError) -> Text:
    """Decode `data`. `what` begins error messages.

    Raises `error`: bytes that contradict their mark, that are neither UTF-8 nor cp1252, or that contain NUL (UTF-16
    without a mark, or binary data).
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    note = ""
    try:
        if encoding:
            text = data.decode(encoding)
        else:
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                text = data.decode("cp1252")
                note = "read as cp1252 (Windows), because it is not UTF-8"
    except UnicodeDecodeError as reason:
        name = encoding.removesuffix("-sig").upper()
        why = f"marked as {name}, but not valid ({reason.reason})" if name else "neither UTF-8 nor cp1252"
        raise error(f"{what}: {why}; save it as UTF-8.") from None
    if "\0" in text:
        raise error(f"{what}: contains NUL characters (binary data, or UTF-16 without a mark); save it as UTF-8.")
    return Text(text.replace("\r\n", "\n").replace("\r", "\n"), note)


def read_text(path: Path, *, error: type[KinemaError] = KinemaError, max_bytes: int = MAX_TEXT_BYTES) -> Text:
    """`decode` of a regular file of at most `max_bytes`. Raises `error` also if it cannot be read; FileNotFoundError if
    it does not exist."""
    return decode(read_bytes(path, error=error, max_bytes=max_bytes), str(path), error=error)
