"""The one way from a command to the terminal. Whatever text is shown, somebody else may have written a part of it (a
prompt in a manifest, a server's error, a file's name): escape sequences, control characters and signs that turn the
direction of writing are spelled out. JSON is ASCII, and needs nothing.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import unicodedata
from typing import Any

import typer

from ..core.invisible import is_blank
from ..core.outside import for_terminal

MOST_CHARS = 20_000
"""Of one line."""


def say(*lines: str, err: bool = False, color: str | None = None) -> None:
    """Lines on stdout, or stderr. A new line within one of them is indented, so that it passes for no line of ours. On
    a terminal, what is longer than a line of it goes on below, between words."""
    stream = sys.stderr if err else sys.stdout
    columns = width(stream)
    for line in lines:
        shown = fitting(for_terminal(line, MOST_CHARS), stream)
        if columns is not None:
            shown = "\n".join(wrapped(each, columns) for each in shown.split("\n"))
        typer.secho(shown, fg=color, err=err, color=None if colored() else False)


def width(stream: Any) -> int | None:
    """Columns of the terminal that a stream leads to (COLUMNS, where it is set); None for a pipe or a file, where lines
    stay whole."""
    try:
        if not stream.isatty():
            return None
        given = os.environ.get("COLUMNS", "")
        columns = int(given) if given.isascii() and given.isdigit() else 0
        return columns or os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def wrapped(line: str, columns: int) -> str:
    """A line as lines of so many columns at most, broken between words; a longer word (a path) stays whole. What goes
    on below is aligned: behind "Note: ", under the second of two columns, else indented by two."""
    if cells(line) <= columns:
        return line
    named = re.match(r"\s*(?:[A-Z][a-z]{2,9}: |\S+(?: \S+)* {2,}(?=\S))", line)
    indent = cells(named[0]) if named else columns
    if indent > columns // 2:
        indent = min(len(line) - len(line.lstrip()) + 2, columns // 2)
    lines, room = [""], 0
    for word in re.findall(r"\s*\S+", line):
        if lines[-1].strip() and room + cells(word) > columns:
            word, room = word.lstrip(), indent
            lines.append(" " * indent)
        lines[-1] += word
        room += cells(word)
    return "\n".join(lines)


def cells(text: str) -> int:
    """Columns that a text takes on a terminal: two for letters of East Asia and emoji, none for accents."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) or is_blank(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def colored() -> bool:
    """May escape sequences colour what is shown? Not with NO_COLOR (no-color.org), nor on a dumb terminal."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def settle_streams() -> None:
    """From now on no letter makes a command fail that the terminal's encoding has not: it is spelled out. The pages of
    --help have no colours where there are to be none."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not colored():
        from typer import rich_utils

        rich_utils.COLOR_SYSTEM = None


def typed(word: str) -> str:
    """Words as they were typed. In a locale without UTF-8, Python reads their bytes one by one."""
    try:
        return os.fsencode(word).decode("utf-8") if any("\udc80" <= char <= "\udcff" for char in word) else word
    except UnicodeError:
        return word


def fitting(text: str, stream: Any) -> str:
    """The text with letters spelled out that the stream's encoding has not; a long run of them is only counted."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = _RUN.sub(lambda run: _counted(run[0], encoding), text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


_RUN = re.compile(r"[^\x00-\x7f]+(?:[\w ,.]{0,8}[^\x00-\x7f]+)*")
MOST_SPELLED = 8
"""Letters of a run that are spelled out: a name stays readable, a text would only fill the screen."""


def _counted(run: str, encoding: str) -> str:
    lost = sum(not char.encode(encoding, "ignore") for char in run)
    return run if lost <= MOST_SPELLED else f"({len(run)} characters that this terminal's encoding has not)"


def say_aside(line: str) -> None:
    """A line on stderr."""
    say(line, err=True)


def note(text: str) -> None:
    """A remark for the person, on stderr."""
    say(text, err=True, color=typer.colors.YELLOW)


def answer(found: Any, as_json: bool, words: str) -> None:
    """What a command found: for a machine as one JSON object, for a person in words."""
    if as_json:
        typer.echo(json.dumps(found))
    else:
        say(*words.split("\n"))


def log_to_stderr(level: int) -> None:
    """Log lines, as visible as all the rest."""

    class Visible(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            shown, columns = for_terminal(super().format(record), MOST_CHARS), width(sys.stderr)
            return shown if columns is None else "\n".join(wrapped(each, columns) for each in shown.split("\n"))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Visible("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
