"""Pages of --help: paragraphs are wrapped to the width of the terminal, not where the docstring breaks its lines."""

from __future__ import annotations

import inspect
import re

import typer


def everywhere(app: typer.Typer) -> None:
    """Apply this to all commands of an application and of the applications within it."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.help = flowing(command.callback.__doc__ or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            everywhere(group.typer_instance)


def flowing(docstring: str) -> str:
    """Return the paragraphs of a docstring, each on one line."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)
