"""Text output of commands. Parts of it are untrusted (a prompt in a manifest, a server's error, a file name), so escape
sequences, control characters and characters that change the writing direction are escaped. JSON is ASCII already.
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

MAX_CHARS = 20_000
"""Per line."""


def frames_text(count: int) -> str:
    """Return "1 frame" or "17 frames"."""
    return "1 frame" if count == 1 else f"{count} frames"


def say(*lines: str, err: bool = False, color: str | None = None) -> None:
    """Print lines on stdout, or stderr. A line break within one is indented, so that it cannot fake a line. On a
    terminal, long lines are wrapped between words."""
    stream = sys.stderr if err else sys.stdout
    columns = width(stream)
    for line in lines:
        shown = fitting(for_terminal(line, MAX_CHARS), stream)
        if columns is not None:
            shown = "\n".join(wrapped(each, columns) for each in shown.split("\n"))
        typer.secho(shown, fg=color, err=err, color=None if colored() else False)


def width(stream: Any) -> int | None:
    """Return the columns of a stream's terminal (COLUMNS, if set); None for a pipe or a file, which is not wrapped."""
    try:
        if not stream.isatty():
            return None
        given = os.environ.get("COLUMNS", "")
        columns = int(given) if given.isascii() and given.isdigit() else 0
        return columns or os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def wrapped(line: str, columns: int) -> str:
    """Return a line wrapped to a number of columns, between words; a longer word (a path) stays whole. Continuation
    lines are aligned: behind "Note: ", under the second of two columns, else indented by two."""
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
    """Return the columns of a text on a terminal: two for East Asian characters and emoji, none for accents."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) or is_blank(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def colored() -> bool:
    """Whether output may be coloured: not with NO_COLOR (no-color.org), nor on a dumb terminal."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def settle_streams() -> None:
    """Escape characters that the terminal's encoding lacks instead of failing, and disable the colours of --help where
    output is not coloured."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not colored():
        from typer import rich_utils

        rich_utils.COLOR_SYSTEM = None


def typed(word: str) -> str:
    """Return an argument decoded as UTF-8. In a locale without UTF-8, Python decodes its bytes one by one."""
    try:
        return os.fsencode(word).decode("utf-8") if any("\udc80" <= char <= "\udcff" for char in word) else word
    except UnicodeError:
        return word


def fitting(text: str, stream: Any) -> str:
    """Return the text with characters escaped that the stream's encoding lacks; a long run of them is only counted."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = _RUN.sub(lambda run: _counted(run[0], encoding), text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


_RUN = re.compile(r"[^\x00-\x7f]+(?:[\w ,.]{0,8}[^\x00-\x7f]+)*")
MAX_ESCAPED = 8
"""Characters of a run that are escaped: a name stays readable, a text would only fill the screen."""


def _counted(run: str, encoding: str) -> str:
    lost = sum(not char.encode(encoding, "ignore") for char in run)
    return run if lost <= MAX_ESCAPED else f"({len(run)} characters that this terminal's encoding lacks)"


def say_aside(line: str) -> None:
    """Print a line on stderr."""
    say(line, err=True)


def note(text: str) -> None:
    """Print a note on stderr."""
    say(text, err=True, color=typer.colors.YELLOW)


def answer(found: Any, as_json: bool, text: str) -> None:
    """Print the result of a command, as one JSON object or as text."""
    if as_json:
        typer.echo(json.dumps(found))
    else:
        say(*text.split("\n"))


def log_to_stderr(level: int) -> None:
    """Print log lines on stderr, escaped and wrapped."""

    class Visible(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            shown, columns = for_terminal(super().format(record), MAX_CHARS), width(sys.stderr)
            return shown if columns is None else "\n".join(wrapped(each, columns) for each in shown.split("\n"))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Visible("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
