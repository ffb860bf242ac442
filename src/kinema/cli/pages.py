"""Pages of --help: a paragraph flows to the width of the terminal, wherever its docstring breaks the line."""

from __future__ import annotations

import inspect
import re

import typer


def everywhere(app: typer.Typer) -> None:
    """So are those of all commands of the application, and of those within it."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.help = flowing(command.callback.__doc__ or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            everywhere(group.typer_instance)


def flowing(docstring: str) -> str:
    """Its paragraphs, each on one line."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)
