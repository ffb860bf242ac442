"""What ComfyUI's page does to texts before it sends a prompt: comments, random choices, dates in file names."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ...core.errors import RequestError

MAX_CHARS, MAX_NAME_CHARS = 100_000, 1000
MAX_DEPTH = 100
"""Of braces in braces."""

_TOKEN = re.compile(r"\\[{}|]|[{}|\\]|[^{}|\\]+")
_ESCAPED = ("\\{", "\\}", "\\|")
_COMMENT = re.compile(r"/[/*]")
_DATE = re.compile(r"%date:([^%]{1,100})%")
_OF_NODE = re.compile(r"%([^%.]{1,100})\.([^%.]{1,100})%")
_PART = re.compile(r"d{1,2}|M{1,2}|y{4}|y{2}|h{1,2}|m{1,2}|s{1,2}")
_NOT_IN_NAMES = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


def chosen(text: str, rng: random.Random) -> str:
    """Remove comments (/* */ and // to the line's end) and choose one of {a|b}, nested or not; \\{ is a brace.
    RequestError: over MAX_CHARS, or braces nested over MAX_DEPTH deep."""
    if len(text) > MAX_CHARS:
        raise RequestError(f"A prompt of {len(text):,} characters.", field="prompt",
                           legal=f"at most {MAX_CHARS:,} characters")  # fmt: skip
    text = _without_comments(text)
    if not {"{", "\\"} & set(text):
        return text
    levels: list[list[list[str]]] = [[[]]]
    """For each open brace, and the text around them, the options so far, each as its parts."""
    for part in _TOKEN.findall(text):
        if part == "{":
            levels.append([[]])
            if len(levels) > MAX_DEPTH:
                raise RequestError(f"A prompt with braces nested over {MAX_DEPTH} deep.", field="prompt")
        elif part == "}" and len(levels) > 1:
            _close(levels, rng)
        elif part == "|" and len(levels) > 1:
            levels[-1].append([])
        else:
            levels[-1][-1].append(part[1:] if len(part) == 2 and part in _ESCAPED else part)
    while len(levels) > 1:  # braces that are never closed
        _close(levels, rng)
    return "".join(levels[0][0])


def _close(levels: list[list[list[str]]], rng: random.Random) -> None:
    options = levels.pop()
    levels[-1][-1] += rng.choice(options)


def _without_comments(text: str) -> str:
    kept, at, closed = [], 0, True
    while begin := _COMMENT.search(text, at):
        is_block = begin[0] == "/*"
        end = text.find("*/", begin.end()) if is_block and closed else -1 if is_block else text.find("\n", begin.end())
        closed = closed and not (is_block and end < 0)
        if is_block and end < 0:  # never closed: no comment
            kept.append(text[at : begin.end()])
            at = begin.end()
        else:
            kept.append(text[at : begin.start()])
            at = len(text) if end < 0 else end + 2 * is_block
    return "".join([*kept, text[at:]])


def file_name(text: str, when: datetime, widget: Callable[[str, str], Any]) -> str:
    """Fill in %date:yyyy-MM-dd% and %Title.widget%. widget(title, name): the value of a widget, None if there is none;
    then the text stays as it is. RequestError: over MAX_NAME_CHARS."""

    def of_node(found: re.Match[str]) -> str:
        value = widget(found[1], found[2])
        if not isinstance(value, str | int | float):
            return found[0]
        return _NOT_IN_NAMES.sub("_", str(value)[:MAX_NAME_CHARS])

    if len(text) > MAX_NAME_CHARS:
        raise RequestError(f"A file name of {len(text):,} characters.", field="filename_prefix",
                           legal=f"at most {MAX_NAME_CHARS:,} characters")  # fmt: skip
    return _OF_NODE.sub(of_node, _DATE.sub(lambda found: _PART.sub(lambda part: _date(part[0], when), found[1]), text))


def _date(part: str, when: datetime) -> str:
    value = {"d": when.day, "M": when.month, "y": when.year, "h": when.hour, "m": when.minute, "s": when.second}[
        part[0]
    ]
    return str(value).zfill(len(part))[-max(len(part), 2) :] if part[0] == "y" else str(value).zfill(len(part))
