"""The table of the verbs of `kinema`, and the Typer application of some or all of them."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Iterable
from typing import Annotated

import typer

from . import once
from .say import say

VERBS = {
    "generate": "generate:generate", "plan": "generate:plan", "animate": "animate:animate", "remove": "edit:remove",
    "edit": "edit:edit", "outpaint": "edit:outpaint", "extend": "edit:extend", "between": "edit:between",
    "restyle": "edit:restyle", "upscale": "upscale:upscale", "control": "control:control", "mask": "mask:mask",
    "track": "track:track", "path": "path:app", "direct": "direct:direct", "make-film": "film:make_film",
    "channel": "channel:app", "worker": "worker:worker", "serve": "serve:serve",
    "submit": "submit:submit", "jobs": "jobs:app", "music": "music:music", "score": "music:score",
    "interpolate": "interpolate:interpolate", "rerun": "clip:rerun", "inspect": "clip:inspect",
    "history": "history:history", "models": "models:app", "styles": "styles:styles", "samples": "samples:samples",
    "workflow": "workflow:app",
    "toyland": "toyland:app", "evaluate": "evaluate:app", "curate": "curate:app", "train": "train:train",
    "doctor": "doctor:doctor", "completion": "completion:completion",
}  # fmt: skip
"""Verbs in the order of the help page, each with its module and its function or Typer application there. A command
imports only the module of its own verb: importing all takes longer than the work of a quick command."""


PASSING_ON = ("submit",)
"""Verbs whose first argument is another verb, to which all that follows it belongs."""


@functools.cache
def application(*names: str) -> typer.Typer:
    """Return the command line with some verbs; without names, with all."""
    found = typer.Typer(
        name="kinema", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    add_verbs(found, names or VERBS)
    found.callback()(root)
    once.everywhere(found)
    _wrap_help(found)
    return found


def add_verbs(group: typer.Typer, names: Iterable[str]) -> None:
    """Add verbs of VERBS to a Typer application, and import their modules."""
    for name in names:
        module, _, part = VERBS[name].partition(":")
        verb = getattr(importlib.import_module(f".{module}", __package__), part)
        if isinstance(verb, typer.Typer):
            group.add_typer(verb, name=name)
        else:
            settings = {"allow_interspersed_args": False} if name in PASSING_ON else None
            group.command(name, context_settings=settings)(verb)


def _wrap_help(app: typer.Typer) -> None:
    """Let the help of all commands wrap to the width of the terminal, not where a docstring breaks its lines."""
    for each in app.registered_commands:
        if each.callback is not None:
            each.help = flowing(each.callback.__doc__ or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _wrap_help(group.typer_instance)


def flowing(docstring: str) -> str:
    """Return the paragraphs of a docstring, each on one line."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        say(f"kinema {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Generate video from text, images, paths and masks with open models.

    Try: kinema generate "a red ball rolls left over a green hill at sunset"
    """
