"""Invisible characters: variation selectors, joiners, zero-width spaces, fillers. They occur in text copied from web
pages and phones."""

from __future__ import annotations

import unicodedata

EMOJI_JOINER, EMOJI_STYLE = "\u200d", "\ufe0f"
ZERO_WIDTH_SPACE = "\u200b"
# Unicode's Default_Ignorable_Code_Point outside the control categories, and the blank Braille pattern.
_BLANK = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2800, 0x2800), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF),
)  # fmt: skip


def is_blank(char: str) -> bool:
    """Whether the character is invisible on its own. Joiners and selectors are, but may be part of an emoji."""
    return unicodedata.category(char) == "Cf" or any(low <= ord(char) <= high for low, high in _BLANK)


def without_invisible(text: str) -> str:
    """Remove invisible characters. A zero-width space between two letters becomes a space; joiners and selectors of an
    emoji stay."""
    if text.isascii():
        return text
    kept: list[str] = []
    for place, char in enumerate(text):
        if char == ZERO_WIDTH_SPACE and kept and kept[-1].isalnum() and text[place + 1 : place + 2].isalnum():
            kept.append(" ")
        elif not is_blank(char) or (char in (EMOJI_JOINER, EMOJI_STYLE) and kept and _is_emoji(kept[-1])):
            kept.append(char)
    return "".join(kept)


def _is_emoji(char: str) -> bool:
    return char == EMOJI_STYLE or unicodedata.category(char) in ("So", "Sk")
