"""What `kinema models add` and `check` print about models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from . import show
from .exits import FAILED
from .say import say

if TYPE_CHECKING:
    from ..core.card import Card

TAKES = {"image": "pictures", "reference": "reference pictures", "source": "a clip", "mask": "a mask",
         "control": "control clips", "trajectory": "paths", "camera": "camera moves", "continue": "the end of a clip",
         "style": "styles"}  # fmt: skip
"""Words for what models accept."""


def takes(card: Card) -> list[str]:
    """Return in words what a model takes beside or instead of a prompt, its pictures by their place."""
    from ..core.conditions import SEEN

    images = [name for name in card.accepts if name.startswith("image:") and name != SEEN]
    places = [name.removeprefix("image:") + (" needed" if name in card.needs else "") for name in images]
    pictures = f"pictures ({', '.join(places)})"
    names = [name for name in accepted(card) if name in TAKES]
    return ["a prompt", *(pictures if name == "image" else TAKES[name] for name in names)]


def accepted(card: Card) -> list[str]:
    """Return the conditions that a model accepts, images and controls named once."""
    return list(dict.fromkeys(name.partition(":")[0] for name in card.accepts))


def summary(card: Card, here: bool) -> dict[str, Any]:
    return {
        "id": card.id,
        "family": card.family,
        "title": card.title,
        "licence": card.licence,
        "hub": card.hub,
        "path": card.path,
        "accepts": list(card.accepts),
        "needs": list(card.needs),
        "here": here,
    }


def added_folders(found: Any, as_json: bool) -> None:
    """Print what was added of ComfyUI's folders: of every model what it does, and what it lacks."""
    from ..weights import store

    lost = {card.id: store.why_not(card) for card in found.models}
    if as_json:
        models = [{**summary(card, lost[card.id] is None), "missing": lost[card.id]} for card in found.models]
        refused = [{"path": str(path), "why": why} for path, why in found.refused]
        typer.echo(json.dumps({"models": models, "refused": refused}))
        return
    for card in found.models:
        say(f"{card.id}: {card.title}. Takes {', '.join(takes(card))}{f'; {lost[card.id]}' if lost[card.id] else ''}")
    for path, why in found.refused:
        say(f"not added: {path.name}: {why}")
    count = "1 model" if len(found.models) == 1 else f"{len(found.models)} models"
    say("", f"{count} added, {len(found.refused)} files not. `kinema models list` lists all models.")


def checked(model: str, as_json: bool) -> None:
    """Print what a model or file is, and its problems. Exits with FAILED if there are any."""
    from ..weights import looked, manage, store

    seen = looked.look(model)
    name = seen.model or Path(seen.path).name
    problems: list[str] = []
    if seen.model:
        problems = store.check(store.find(model))
    elif not seen.part:
        problems = [seen.why]
    if as_json:
        typer.echo(json.dumps({"ok": not problems, "problems": {name: problems}, "model": seen.facts()}))
    else:
        kind = f" ({seen.family}, {seen.variant})" if seen.model else ""
        rows = [("file", seen.path), ("is", f"{seen.what}{kind}")]
        rows += [("weights", f"{seen.weights}; {manage.gigabytes(seen.bytes)}")]
        rows += [("accepts", ", ".join(seen.accepts) or "a prompt only")] if seen.model else []
        rows += [(f"needs {each.part}", each.place or f"missing: {each.usual}") for each in seen.needs]
        rows += [("note", each) for each in (*seen.notes, *([seen.why] if seen.why and not problems else []))]
        show.console().print(show.facts(rows, title=name))
        say(f"{name}: " + ("; ".join(problems) or "good"))
    if problems:
        raise typer.Exit(FAILED)
