"""The one way from a command to the terminal. Whatever text is shown, somebody else may have written a part of it (a
prompt in a manifest, a server's error, a file's name): escape sequences, control characters and signs that turn the
direction of writing are spelled out. JSON is ASCII, and needs nothing.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import typer

from kinema.core.outside import for_terminal

MOST_CHARS = 20_000
"""Of one line."""


def say(*lines: str, err: bool = False, color: str | None = None) -> None:
    """Lines on stdout, or stderr. A new line within one of them is indented, so that it passes for no line of ours."""
    for line in lines:
        typer.secho(for_terminal(line, MOST_CHARS), fg=color, err=err)


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
            return for_terminal(super().format(record), MOST_CHARS)

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Visible("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
