"""`kinema models`: the known models, and those on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ModelError, RequestError
from ..core.events import Event
from ..core.outside import for_terminal
from . import completion, model_facts, show
from .exits import FAILED, guarded
from .model_facts import accepted, summary
from .options import AsJson
from .progress import reporter
from .say import answer, note, say

if TYPE_CHECKING:
    from ..core.card import Card

app = typer.Typer(no_args_is_help=True, help="List, show, add, download, rename, remove, check and convert models.")

WIDE = 120
"""Columns of a terminal that shows what models accept."""
Name = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A name, hub id, folder or file.", show_default=False, autocompletion=completion.models
    ),
]


@app.command("list")
@guarded
def list_(as_json: AsJson = False) -> None:
    """List all known models, and whether their weights are on this machine."""
    from ..weights import store

    rows = [(card, store.here(card)) for card in store.known_cards()]
    for trouble in store.troubles().values():
        note(trouble)
    if as_json:
        typer.echo(json.dumps([summary(card, here) for card, here in rows]))
        return
    from rich.table import Table
    from rich.text import Text

    screen = show.console()
    wide = screen.width >= WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", style="cyan", overflow="fold", min_width=min(show.MAX_NAME, longest(rows)))
    table.add_column("here", no_wrap=True)
    for name in ("title", *(("accepts",) if wide else ())):
        table.add_column(name, overflow="fold")
    for card, here in rows:
        row = [card.id, "yes" if here else "no", card.title, ", ".join(accepted(card))]
        table.add_row(*(Text(for_terminal(each)) for each in row[: 4 if wide else 3]))
    screen.print(table)
    say("", "`kinema models show MODEL` shows what a model accepts, and more.")


def longest(rows: list[tuple[Card, bool]]) -> int:
    return max(len(for_terminal(card.id)) for card, _ in rows)


@app.command("show")
@guarded
def show_(model: Name, as_json: AsJson = False) -> None:
    """Show what a model accepts, its legal sizes and lengths, its defaults and options."""
    from ..weights import store

    card = store.find(model)
    lost = store.why_not(card)
    if as_json:
        typer.echo(json.dumps({**card.model_dump(mode="json"), "here": lost is None}))
        return
    show.console().print(show.facts(card_rows(card, lost)))
    if card.options:
        options = [
            (f"--set {name}=", f"{option.help} ({option.words()}; default {option.default})")
            for name, option in card.options.items()
        ]
        show.console().print()
        show.console().print(show.facts(options, title="Options"))


@app.command("add")
@guarded
def add(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A checkpoint folder, a .safetensors file, two files of a pair as HIGH:LOW, or ComfyUI's folder or "
            "extra_model_paths.yaml.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Add a checkpoint on this machine, or all in ComfyUI's folders, to the list, by name. Nothing is copied."""
    from ..weights import comfy_folders, manage, store

    if (folders := comfy_folders.comfy_folders(path.expanduser())) is not None:
        model_facts.added_folders(manage.add_folders(folders), as_json)
        return
    card = manage.add(path.expanduser())
    lost = store.why_not(card)
    text = f"{card.id}: {card.title}, at {card.path}" + (f"; {lost}" if lost else "")
    answer(summary(card, lost is None), as_json, text)


@app.command("pull")
@guarded
def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A known model's name or any hub id.",
            show_default=False,
            autocompletion=completion.models,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Download a model from the Hugging Face hub; an interrupted download resumes. `i3d`: the network of FVD."""
    from ..features import published_checks
    from ..weights import manage, published_files, store

    room, published = manage.room(model), published_files.FILES.get(model)
    if room is not None and not as_json:
        note(f"{model}: {room.words()}.")
    if published is not None and not as_json:
        note(f"{model}: {published.about}.")
    with reporter(as_json) as on_event:
        on_event(Event("fetch"))
        place = store.pull(model, on_event)
    facts, text = {"model": model, "path": str(place)}, str(place)
    if published is not None:
        facts["check"] = published_checks.CHECKS[model](place)
        text = f"{text}\n{facts['check']}"
    answer(facts, as_json, text)


@app.command("remove")
@guarded
def remove(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model that was added or pulled.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a pulled model, or remove an added one from the list and keep its files."""
    from ..weights import manage

    removal = manage.removal(model)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise RequestError(f"{removal.words()}.", field="yes", legal="--yes without a terminal")
        say(f"{removal.words()}.", err=True)
        typer.confirm("Continue?", abort=True, err=True)
    manage.remove(removal)
    deleted = str(removal.folder) if removal.folder else None
    facts = {"model": removal.name, "deleted": deleted, "bytes": removal.bytes}
    answer(facts, as_json, f"{removal.words()}. Done.")


@app.command("rename")
@guarded
def rename(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model that was added.", show_default=False)],
    name: Annotated[str, typer.Argument(metavar="NEW", help="The new name.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Rename a model that was added."""
    from ..weights import manage

    entry = manage.rename(model, name)
    answer(
        {"model": entry.id, "was": model, "path": entry.path}, as_json, f"{model} is {entry.id} now, at {entry.path}"
    )


@app.command("convert")
@guarded
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A pickled checkpoint: .ckpt, .pth, .pt, .bin.", show_default=False)
    ],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="Default: next to it, as .safetensors or a folder.", show_default=False),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="MODEL",
            help="Make a folder in diffusers' layout, with the other parts of this model (Tora: cogvideox-5b).",
            show_default=False,
            autocompletion=completion.models,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Convert a pickled checkpoint to safetensors, in a process that unpickles tensors only."""
    from ..weights.assemble import assemble
    from ..weights.convert import convert as convert_file
    from ..weights.names import file_name

    made = target or source.with_name(file_name(source) + (".safetensors" if base is None else "-diffusers"))
    if made.exists():
        raise ModelError(f"{made}: exists already; choose another name.")
    count = convert_file(source, made) if base is None else assemble(source, base, made)
    answer({"path": str(made), "tensors": count}, as_json, f"{made}: {count} tensors")


@app.command("check")
@guarded
def check(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A model. Default: every model on this machine.",
            show_default=False,
            autocompletion=completion.models,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check for missing and damaged files; exit code 1 if there are any. Of a model or file: what it is, how its
    weights are stored, and what it needs beside it."""
    from ..weights import store

    if model is not None:
        model_facts.checked(model, as_json)
        return
    cards = [card for card in store.known_cards() if store.on_disk(card)]
    found = {card.id: store.check(card) for card in cards}
    found |= {name: [trouble] for name, trouble in store.troubles().items()}
    if as_json:
        typer.echo(json.dumps({"ok": not any(found.values()), "problems": found}))
    else:
        for name, problems in found.items():
            say(f"{name}: " + ("; ".join(problems) or "good"))
        if not found:
            say("No model is on this machine.")
    if any(found.values()):
        raise typer.Exit(FAILED)


def card_rows(card: Card, lost: str | None) -> list[tuple[str, Any]]:
    sizes = ", ".join(f"{width}x{height}" for width, height in card.size.trained)
    defaults = card.defaults
    profiles = {
        name: f"{rule.student.steps} steps of a few-step student" if rule.student
        else f"{rule.steps or defaults.steps} steps"
        for name, rule in card.profiles.items()
    }  # fmt: skip
    rows: list[tuple[str, Any]] = [
        ("model", card.id),
        ("title", card.title),
        ("family", f"{card.family} ({card.variant})"),
        ("licence", card.licence),
        ("weights", card.path or card.hub or card.builtin),
        ("here", "yes" if lost is None else f"no; {lost}"),
        ("accepts", ", ".join(card.accepts) or "a prompt only"),
        ("needs", ", ".join(card.needs) or "only a prompt"),
        ("sizes", f"{sizes}; or {card.size.words()}"),
        ("lengths", f"{card.frames.trained} frames; or {card.frames.words()}"),
        ("defaults", f"{defaults.steps} steps, guidance {defaults.guidance:g}, {defaults.fps:g} fps"),
        ("profiles", ", ".join(f"{name}: {steps}" for name, steps in profiles.items())),
    ]
    rows += [("other names", ", ".join(card.aliases))] if card.aliases else []
    return rows + [("note", note) for note in (*card.doubts, *card.notes)]
