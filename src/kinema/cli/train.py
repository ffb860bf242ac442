"""`kinema train`: run a training recipe."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.apart import keep_apart
from ..core.display import Display, duration, is_command
from ..core.errors import RequestError
from ..core.events import Event
from ..core.outside import exists
from . import exits
from .exits import guarded
from .options import AsJson
from .piping import no_stdout
from .progress import reporter
from .say import answer
from .work import process_age_s

MINUTES = 25.0
OWN = Path(__file__).parents[1] / "training" / "recipes"


@guarded
def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A recipe: `lora`, `tora`, or a file such as recipes/mini_wan.py.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The output folder.", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FOLDER", help="Your clips: videos with .txt captions or metadata, or .tar shards."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="N", help="Time limit. Default: 25, or the run's own.")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, cuda or cuda:N.")] = "cpu",
    processes: Annotated[int, typer.Option("--processes", metavar="N", help="Processes: one per GPU or CPU core.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an earlier run in DIR, with its settings.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite an earlier run in DIR.")] = False,
    stage: Annotated[
        list[str] | None, typer.Option("--stage", metavar="NAME", help="Only this stage. Repeatable.")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe. Repeatable.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write DIR/tensorboard: scalars per step, contact sheets.")
    ] = False,
    device_name: Annotated[
        str, typer.Option("--device-name", metavar="TEXT", help="Device name in the model card. Default: detected.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Train a model by a recipe within a time limit, start and writing included, with checkpoints and held-out
    evaluation."""
    no_stdout(out, "A folder of a training", "out")
    if resume and replace:
        raise RequestError("Use --resume or --replace, not both.", field="replace", legal="one of them")
    if minutes is not None and not 0 < minutes <= 100_000:
        raise RequestError(f"minutes = {minutes:g}.", field="minutes", value=minutes, legal="above 0")
    keep_apart({"out": out}, [recipe, data], replaced=False)
    _check_recipe(recipe)
    if data is not None:
        _check_data(data)
    pairs = [each.partition("=") for each in options or []]
    if wrong := next((name for name, equals, _ in pairs if not equals), None):
        raise RequestError(f"--set {wrong} has no value.", field="set", value=wrong, legal="NAME=VALUE")
    given = {name: value for name, _, value in pairs} | ({} if data is None else {"data": str(data)})
    from ..training.core.processes import leads

    with reporter(as_json or not leads(), begins=False) as shown:
        _run(recipe, given, stage or (), minutes, shown, as_json, {
            "out": out, "device": device, "processes": processes, "resume": resume, "replace": replace,
            "device_name": device_name,
        }, tensorboard)  # fmt: skip


def _run(
    recipe: Path, options: dict[str, str], only: Sequence[str], minutes: float | None, shown: Display, as_json: bool,
    asked: dict[str, Any], tensorboard: bool,
) -> None:  # fmt: skip
    """Load the recipe and run its stages. Everything that can be refused is refused before PyTorch is imported."""
    began_s = time.monotonic() - (process_age_s() if is_command() else 0.0)
    from ..training.core import processes as group
    from ..training.core import run_folder, stages
    from ..training.core.budget import Budget

    board = None
    others: list[subprocess.Popen] = []
    device, out = asked["device"], asked["out"]
    try:
        group.check_device(device)
        settings = stages.Settings(
            **asked, minutes=minutes or MINUTES, recipe=recipe.stem, options=options, on_event=shown,
            budget=Budget(began_s=began_s),
        )  # fmt: skip
        settings = run_folder.resumed_settings(settings, only=bool(only), minutes=minutes)
        stages.check(recipe, settings, only)
        shown(Event("start"))
        board = _board(out) if tensorboard else None
        found = stages.load_recipe(recipe)
        others = group.start(asked["processes"], device)
        settings = dataclasses.replace(
            settings, device_name=settings.device_name or group.device_name(device),
            show=_reporter(as_json, group.first(), board, shown),
        )  # fmt: skip
        exits.begin()
        stages.run(found(settings), settings, only)
    except ValueError as error:
        raise RequestError(str(error), field="train", value=str(recipe)) from None
    finally:
        if board is not None:
            board.close()
        group.finish(others)


def _board(out: Path) -> Any:
    from ..training.core.board import TensorBoardLog

    return TensorBoardLog(out)


def _check_recipe(recipe: Path) -> None:
    """Raise RequestError for a recipe that does not exist or is not a Python file. Does not run it."""
    own = sorted(each.stem for each in OWN.glob("*.py") if not each.stem.startswith("_"))
    if str(recipe) not in own and (not recipe.is_file() or recipe.suffix != ".py"):
        wrong = "not a Python file" if recipe.is_file() else "no such recipe"
        raise RequestError(
            f"{recipe}: {wrong}.", field="recipe", value=str(recipe), legal=f"a .py file, or one of: {', '.join(own)}"
        )


def _check_data(folder: Path) -> None:
    """Raise RequestError for a folder that does not exist or holds no file of a clip's kind. Opens none."""
    from ..media.endings import readable

    legal = "a folder of clips or images with captions, or of .tar shards"
    if not exists(folder):
        raise RequestError(f"{folder}: no such folder.", field="data", value=str(folder), legal=legal)
    if not folder.is_dir():
        raise RequestError(f"{folder}: a file.", field="data", value=str(folder), legal=legal)
    known = {".tar", *readable()}
    if not any(Path(name).suffix.lower() in known for _, _, names in os.walk(folder) for name in names):
        raise RequestError(f"{folder}: holds no clip or image.", field="data", value=str(folder), legal=legal)


def _reporter(
    as_json: bool, first: bool, board: Callable[[dict[str, Any]], None] | None, shown: Display
) -> Callable[[dict[str, Any]], None]:
    """Return a callback that prints the events of training as text (steps are shown by `shown`) or as JSON; the
    callback of the other processes prints nothing."""
    now: dict[str, Any] = {"stage": "", "minutes": 0.0}

    def report(event: dict[str, Any]) -> None:
        if not first:
            return
        if event["event"] == "stage":
            now.update(event)
        if board is not None:
            board(event)
        words = _text(event, now["stage"])
        if as_json or words:
            shown.aside(lambda: answer({"stage": now["stage"], **event}, as_json, words))

    return report


HIDDEN = ("event", "stage", "step", "step_s", "progress", "norm", "lr", "seconds", "minutes", "train_seconds",
          "frozen_before", "frozen_after")  # fmt: skip
NAMES = {
    "shuffled_percent": "error with its frames shuffled", "psnr_db": "PSNR in dB", "samples": "samples seen",
    "psnr_objects_db": "PSNR of objects in dB",
}  # fmt: skip


def _text(event: dict[str, Any], stage: str) -> str:
    """Return an event as a line; "" for events that the progress line or the end of the stage shows."""
    kind = event["event"]
    if kind in ("data", "note"):
        return str(event[""])
    if kind == "done":
        return f"Done in {duration(60 * event['minutes'])}: {event['out']}"
    if kind in ("stage", "step", "finished", "encoded"):
        return ""
    took = f" in {duration(60 * event['minutes'])}" if "minutes" in event else ""
    steps = f" at step {event['step']}" if kind == "evaluated" else ""
    if kind == "stage_done":
        count = event.get("step", 0)
        steps = f", {count:,} step{'s' * (count != 1)}" if count else ""
    found = ", ".join(f"{NAMES.get(name, name)} {_value(name, value)}" for name, value in _facts(event))
    what = {"stage_done": "done", "evaluated": "evaluated"}.get(kind, kind.replace("_", " "))
    return f"{stage}: {what}{steps}{took}" + (f"; {found}" if found else "")


def _facts(event: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values for the line, shortened; OUT/stages.json has all of them."""
    for name, value in event.items():
        if name in HIDDEN or isinstance(value, list):
            continue
        if name == "files":
            value = ", ".join(json.loads(value))
        if isinstance(value, dict):
            inside = ", ".join(f"{key} {each}" for key, each in value.items() if not isinstance(each, dict | list))
            yield name, f"({inside})"
        else:
            yield name, value


def _value(name: str, value: Any) -> str:
    if name == "shuffled_percent":
        return f"{value:+g} %"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
