"""`kinema styles`: the LoRA styles known by name."""

from __future__ import annotations

import json

import typer

from . import show
from .exits import guarded
from .options import AsJson
from .say import say


@guarded
def styles(as_json: AsJson = False) -> None:
    """List the styles for `--style NAME:WEIGHT`: the model of each, and its effect."""
    from ..core.outside import for_terminal
    from ..weights.styles import folders, named

    found = named()
    own = folders()[0]
    if as_json:
        typer.echo(json.dumps({
            "folder": str(own),
            "styles": [
                {"name": each.name, "model": each.model, "what": each.description, "trigger": each.trigger,
                 "rank": each.rank, "bytes": each.bytes, "path": str(each.path), "ships": each.ships,
                 "problem": each.problem}
                for each in found
            ],
        }))  # fmt: skip
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("style", style="cyan", overflow="fold")
    table.add_column("model", overflow="fold")
    table.add_column("effect", overflow="fold")
    for each in found:
        trigger = f" (trigger: {each.trigger})" if each.trigger else ""
        does = each.problem or f"{each.description or 'unknown'}{trigger}"
        cells = (each.name, each.model or "unknown", does)
        table.add_row(*(Text(for_terminal(cell, 200)) for cell in cells))
    show.console().print(table)
    first = next((each for each in found if not each.problem), None)
    if first is not None:
        model = f" --model {first.model}" if first.model else ""
        say("", f'kinema generate "a red car in a meadow"{model} --style {first.name}:1')
    say(f"A .safetensors file in {own} is known by its name too; use the path of any other.")
