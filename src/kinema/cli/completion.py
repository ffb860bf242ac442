"""`kinema completion SHELL`: the script that lets a shell complete commands, options, models and styles.

The shell runs `kinema` with `_KINEMA_COMPLETE` set at each press of Tab, so nothing here may import torch.
"""

from __future__ import annotations

import contextlib
import os
from typing import Annotated, Literal

import typer

from .exits import guarded

VARIABLE = "_KINEMA_COMPLETE"


@guarded
def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="The shell.", show_default=False)
    ],
) -> None:
    """Print the script that completes commands, options and names in a shell: eval "$(kinema completion bash)"."""
    from typer.completion import get_completion_script

    typer.echo(get_completion_script(prog_name="kinema", complete_var=VARIABLE, shell=shell))


def prepare() -> None:
    """Register the completion classes if a shell runs this process."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init

        completion_init()


def models(incomplete: str) -> list[tuple[str, str]]:
    """Return known models with this prefix, each with its title."""
    with contextlib.suppress(Exception):  # an invalid list of models must not print into a shell prompt
        from ..weights import store

        return [(card.id, card.title) for card in store.known_cards() if card.id.startswith(incomplete)]
    return []


def styles(incomplete: str) -> list[tuple[str, str]]:
    """Return styles with this prefix, each with its effect."""
    with contextlib.suppress(Exception):
        from ..weights.styles import named

        return [(style.name, style.description) for style in named() if style.name.startswith(incomplete)]
    return []
