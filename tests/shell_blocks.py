"""The shell lines of a page, and the input and output files of its `kinema` lines, without running them."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.main import get_command

from kinema.cli.main import app

SHELLS = ("sh", "bash")
OUTPUTS = {"output_", "sheet", "preview", "keep_state", "grid", "out"}
"""Parameters that name output files."""
WRITES_ITS_ARGUMENT = {"channel init": "file", "samples": "folder"}
NO_FILES = {"prompt", "negative", "theme", "reason", "search", "title", "ending", "music", "object_"}
"""Parameters that are words, whatever they look like."""
SUFFIX = re.compile(r"\.(mp4|webm|gif|webp|png|jpe?g|txt|json|svg|ya?ml|toml|safetensors|pt|ckpt|wav|m4a|py|state)$")


@dataclass(frozen=True)
class Line:
    """A line of a shell block, with continuation lines joined. block: index of the block in the page."""

    number: int
    block: int
    text: str


def blocks(page: str, kinds: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return (number of the first line, text) of each fenced block of these kinds."""
    found, start, fence, lines = [], 0, None, []
    for number, line in enumerate(page.splitlines(), 1):
        if fence is None and (mark := re.match(r"\s*```(\w*)\s*$", line)):
            fence, start, lines = mark[1], number + 1, []
        elif fence is not None and line.strip() == "```":
            if fence in kinds:
                found.append((start, "\n".join(lines)))
            fence = None
        elif fence is not None:
            lines.append(line)
    return found


def shell_lines(page: str) -> list[Line]:
    """Return the lines that a shell would run, without comments and blank lines."""
    found = []
    for block, (first, text) in enumerate(blocks(page, SHELLS)):
        lines = text.split("\n")
        at = 0
        while at < len(lines):
            number, whole = first + at, lines[at]
            while whole.endswith("\\"):
                at += 1
                whole = whole[:-1] + " " + lines[at].strip()
            at += 1
            if words(whole):
                found.append(Line(number, block, whole.strip()))
    return found


def words(text: str) -> list[str]:
    """Split a line like a shell: without quotes and comments; &&, |, ; and > are separate words."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    return list(lexer)


def commands(text: str) -> Iterator[tuple[list[str], str | None]]:
    """Yield each command of a line without assignments (KEY=... kinema), and the file its output is redirected to."""
    command: list[str] = []
    target = None
    tokens = iter([*words(text), ";"])
    for token in tokens:
        if token == ">":
            target = next(tokens)
        elif token in ("&&", "||", "|", ";"):
            while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
                command.pop(0)
            if command or target:
                yield command, target
            command, target = [], None
        else:
            command.append(token)


@functools.cache
def root() -> Any:
    return get_command(app)


def parsed(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the command's name ("models pull") and its parameters by name, as the command line parses them; nothing
    is run. Raises ValueError with its message for an unknown command, option or value."""
    command: Any = root()
    path: list[str] = []
    rest = list(arguments)
    while hasattr(command, "commands"):
        if hasattr(command, "with_command"):  # a group whose command may be left out
            rest = command.with_command(rest)
        name = rest.pop(0) if rest else ""
        if name not in command.commands:
            raise ValueError(f"No such command: {' '.join([*path, name])}")
        command = command.commands[name]
        path.append(name)
    try:
        context = command.make_context(" ".join(path), rest)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise ValueError(error.format_message()) from None
    return " ".join(path), context.params


def files(command: str, parameters: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the input and the output files of a command, recognised by parameter name, suffix or folder."""
    reads, writes = [], []
    for name, value in parameters.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if not isinstance(each, str | Path):
                continue
            if name in OUTPUTS or name == WRITES_ITS_ARGUMENT.get(command):
                writes.append(str(each))
            elif name not in NO_FILES and is_file(plain := re.sub(r"^\w+=|:[\d.]+$", "", str(each))):
                reads.append(plain)
    return reads, writes


def is_file(text: str) -> bool:
    return "://" not in text and bool(
        SUFFIX.search(text) or text.startswith(("samples", "runs/", "~/")) or text[-1:] == "/"
    )
