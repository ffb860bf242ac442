"""`kinema train`: run a recipe."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from kinema.cli import exits
from kinema.cli.arguments import AsJson
from kinema.cli.exits import guarded
from kinema.cli.piping import no_stdout
from kinema.cli.say import answer
from kinema.core.apart import keep_apart
from kinema.core.errors import RequestError
from kinema.core.outside import is_there

MINUTES = 25.0
OWN = Path(__file__).parents[1] / "training" / "recipes"


@guarded
def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A recipe: `lora`, or a file such as recipes/mini_wan.py.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where everything goes.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FOLDER", help="Your clips: videos with .txt captions or metadata, or .tar shards."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="N", help="For all stages together; 25, or the run's own.")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda or cuda:N.")] = "cpu",
    processes: Annotated[
        int, typer.Option("--processes", metavar="N", help="Processes: one for each GPU or CPU core.")
    ] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run into DIR stopped, with its settings.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Begin anew over an earlier run into DIR.")] = False,
    stage: Annotated[
        list[str] | None, typer.Option("--stage", metavar="NAME", help="Only this stage; may be repeated.")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe; may be repeated.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write DIR/tensorboard: numbers by step, contact sheets.")
    ] = False,
    device_name: Annotated[
        str, typer.Option("--device-name", metavar="TEXT", help="For the model's card; found out by default.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Train what a recipe describes: every stage within one budget of minutes, with checkpoints and held-out scores."""
    no_stdout(out, "A folder of a training", "out")
    if resume and replace:
        raise RequestError("--resume goes on, --replace begins anew.", field="replace", legal="one of them")
    if minutes is not None and not 0 < minutes <= 100_000:
        raise RequestError(f"minutes = {minutes:g}.", field="minutes", value=minutes, legal="above 0")
    keep_apart({"out": out}, [recipe, data], replaced=False)
    _check_recipe(recipe)
    if data is not None:
        _check_data(data)
    pairs = [each.partition("=") for each in options or []]
    if wrong := next((name for name, equals, _ in pairs if not equals), None):
        raise RequestError(f"--set {wrong} has no value.", field="set", value=wrong, legal="NAME=VALUE")
    from kinema.training.core import processes as group
    from kinema.training.core import run_folder, stages
    from kinema.training.core.board import Board

    board = None
    try:
        group.check_device(device)
        found = stages.load_recipe(recipe)
        board = Board(out) if tensorboard else None
        others = group.start(processes, device)
    except ValueError as error:
        raise RequestError(str(error), field="train", value=str(recipe)) from None
    given = {name: value for name, _, value in pairs} | ({} if data is None else {"data": str(data)})
    settings = stages.Settings(
        out=out, device=device, minutes=minutes or MINUTES, resume=resume, replace=replace, recipe=recipe.stem,
        device_name=device_name or group.device_name(device), options=given,
        show=_teller(as_json, group.first(), board),
    )  # fmt: skip
    try:
        settings = run_folder.gone_on_with(settings, only=bool(stage), minutes=minutes)
        exits.begin()
        stages.run(found(settings), settings, stage or ())
    except ValueError as error:
        raise RequestError(str(error), field="train", value=str(recipe)) from None
    finally:
        if board is not None:
            board.close()
        group.finish(others)


def _check_recipe(recipe: Path) -> None:
    """RequestError where there is no such recipe, or it is no Python file. Runs nothing of it."""
    own = sorted(each.stem for each in OWN.glob("*.py") if not each.stem.startswith("_"))
    if str(recipe) not in own and (not recipe.is_file() or recipe.suffix != ".py"):
        what = "not a Python file" if recipe.is_file() else "no such recipe"
        raise RequestError(
            f"{recipe}: {what}.", field="recipe", value=str(recipe), legal=f"a .py file, or one of: {', '.join(own)}"
        )


def _check_data(folder: Path) -> None:
    """RequestError where there is no folder, or nothing in it that could be a clip. Opens no clip yet."""
    from kinema.media.endings import readable

    legal = "a folder of clips or pictures with captions, or of .tar shards"
    if not is_there(folder):
        raise RequestError(f"{folder}: no such folder.", field="data", value=str(folder), legal=legal)
    if not folder.is_dir():
        raise RequestError(f"{folder}: a file.", field="data", value=str(folder), legal=legal)
    known = {".tar", *readable()}
    if not any(Path(name).suffix.lower() in known for _, _, names in os.walk(folder) for name in names):
        raise RequestError(f"{folder}: no clip and no picture in it.", field="data", value=str(folder), legal=legal)


def _teller(
    as_json: bool, first: bool, board: Callable[[dict[str, Any]], None] | None
) -> Callable[[dict[str, Any]], None]:
    """A line for each event, with the name of the stage that it belongs to; nothing in the other processes."""
    now: dict[str, Any] = {"stage": "", "minutes": 0.0}

    def tell(event: dict[str, Any]) -> None:
        if not first:
            return
        if event["event"] == "stage":
            now.update(event)
        if board is not None:
            board(event)
        answer({"stage": now["stage"], **event}, as_json, _words(event, now))

    return tell


def _words(event: dict[str, Any], now: dict[str, Any]) -> str:
    """A line for people."""
    if event["event"] == "stage":
        return now["stage"] + (f": {event['minutes']:.1f} min" if event["minutes"] else "")
    if event["event"] in ("data", "note"):
        return f"  {event['']}"
    hidden = ("event", "stage", "step", "step_s", "progress", "norm", "lr", "seconds")
    rest = ", ".join(f"{name} {value}" for name, value in event.items() if name not in hidden)
    if event["event"] == "step":
        left = now["minutes"] * (1 - event["progress"])
        return f"  step {event['step']}, {event['step_s']:.2f} s each, {left:.1f} min left: {rest}"
    return f"  {event['event'].replace('_', ' ')}: {rest}"
