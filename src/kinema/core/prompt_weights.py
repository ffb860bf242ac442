"""Weights of words in a prompt, in ComfyUI's notation. No torch.

`(x)` weighs 1.1 times what is around it, `(x:1.3)` weighs 1.3 whatever is around it; both nest. `\\(` and `\\)` are
plain parentheses, as are those without a partner.
"""

from __future__ import annotations

import re

from .errors import RequestError

EMPHASIS = 1.1
"""The factor of parentheses without a number."""
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*")
LONGEST_NUMBER = 24
MOST = 1000
"""Of weights, in either direction."""


def weighted(text: str) -> tuple[tuple[str, float], ...]:
    """The pieces of a prompt between its parentheses, each with its weight, in order. RequestError for a weight beyond
    MOST."""
    closing = _pairs(text)
    found: list[tuple[str, float]] = []
    around = [1.0]  # the weights of the parentheses that are open
    hidden: dict[int, int] = {}  # begin and end of `:1.3` in the text
    ends = set(closing.values())
    piece, at = "", 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in ("(", ")"):
            piece += text[at + 1]
            at += 2
            continue
        if at in closing or at in ends:
            found.append((piece, around[-1]))
            piece = ""
            if at in closing:
                colon, number = _number(text, at, closing[at])
                around.append(around[-1] * EMPHASIS if number is None else number)
                hidden |= {colon: closing[at]} if number is not None else {}
            else:
                around.pop()
        elif at in hidden:
            at = hidden[at]
            continue
        else:
            piece += text[at]
        at += 1
    found.append((piece, around[-1]))
    found = [(piece, weight) for piece, weight in found if piece]
    for piece, weight in found:
        if abs(weight) > MOST:
            raise RequestError(
                f"The words {piece[:60]!r} weigh {weight:g}.", field="prompt", value=weight, legal=f"{-MOST} to {MOST}"
            )
    return tuple(found)


def _pairs(text: str) -> dict[int, int]:
    """The place of each closing parenthesis by that of its opening one."""
    opened: list[int] = []
    found: dict[int, int] = {}
    escaped = False
    for at, letter in enumerate(text):
        if escaped and letter in "()":
            escaped = False
            continue
        escaped = letter == "\\"
        if letter == "(":
            opened.append(at)
        elif letter == ")" and opened:
            found[opened.pop()] = at
    return found


def _number(text: str, begin: int, end: int) -> tuple[int, float | None]:
    """The place of the colon and the number before a closing parenthesis; None: there is no number."""
    colon = text.rfind(":", max(begin + 2, end - LONGEST_NUMBER), end)
    if colon < 0 or not _NUMBER.fullmatch(text, colon + 1, end):
        return colon, None
    return colon, float(text[colon + 1 : end])
