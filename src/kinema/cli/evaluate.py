"""`kinema evaluate`: how well a model follows its conditions, and the figures of clips."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..core.apart import keep_apart
from ..core.errors import ModelError, RequestError
from ..core.events import Event
from ..core.outside import exists, read_json
from ..core.whole import write_text
from . import evaluate_set
from .evaluate_clip import NAME, ClipByDefault, clip
from .exits import guarded
from .options import AsJson, Device
from .piping import no_stdout
from .progress import reporter
from .say import answer, say

app = typer.Typer(
    cls=ClipByDefault, no_args_is_help=True, help="Measure clips, sets of clips, and models against their conditions."
)
QUICK, FULL = (16, 4, ("balanced",)), (256, 48, ("exact", "balanced", "fast"))
"""Number of captions, number of cases of every other task, profiles."""
MOST_CHECKED = 96
"""Scenes on which the probes are checked; fewer for a quick scorecard."""
SUBJECTS = {
    "wan": "kinema-mini-wan", "svd": "kinema-mini-svd", "zeroscope": "kinema-mini-zeroscope",
    "animatediff": "kinema-mini-animatediff", "tora": "kinema-mini-tora",
    "easyanimate": "kinema-mini-easyanimate",
}  # fmt: skip
"""The shipped miniatures by name. Which tasks one is given follows from its card."""


@app.callback()
def _group() -> None:
    """Measure clips, sets of clips, and models against their conditions."""


app.command(NAME)(clip)
app.command(evaluate_set.NAME)(evaluate_set.evaluate_set)


@app.command("miniature")
@guarded
def miniature(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help=f"The miniature: {', '.join(SUBJECTS)}.", show_default=False),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All of them, and one page of all scorecards: scorecards.html.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Another checkpoint: a folder with a card.json, or a name. Default: the shipped one.",
            show_default=False,
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="The whole scorecard: 256 captions, 48 cases of every other task, all three "
            "profiles. Default: 16 captions, 4 cases and balanced, in minutes.",
        ),
    ] = False,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", help="Captions of the text-only task.", show_default=False),
    ] = None,
    task_count: Annotated[
        int | None, typer.Option("--task-count", metavar="N", help="Cases of every other task.", show_default=False)
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            "--profile",
            metavar="exact|balanced|fast",
            help="Repeatable; the others are compared with the first. Default: balanced, with --full all three.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="Only this task. Repeatable. Default: all.", show_default=False),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Processes, one thread each; 1 uses all cores.")
    ] = 1,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder for scorecard.json, scorecard.md and sheets."),
    ] = Path("scorecard"),
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the results in that folder.")] = False,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Score a miniature on held-out scenes of Toyland: text, images, masks, paths, references."""
    defaults = FULL if full else QUICK
    cases = defaults[0] if count is None else count
    task_cases = defaults[1] if task_count is None else task_count
    profile = profile or list(defaults[2])
    if (name is None) != all_ or (all_ and model is not None):
        raise RequestError(
            "Which miniature?" if name is None and not all_ else "--all excludes NAME and --model.", field="name",
            value=name, legal=f"{', '.join(SUBJECTS)}; or --all",
        )  # fmt: skip
    if name is None:
        _all(cases, task_cases, profile, task, workers, output, resume, device, as_json)
        return
    found = _score(model, name, cases, task_cases, profile, task, workers, output, resume, device, as_json)
    if as_json:
        typer.echo(json.dumps(found))
        return
    say(str(output / "scorecard.md"), str(output / "scorecard.json"))
    for measure, columns in found["table"].get("text", {}).items():
        shown = "  ".join(f"{column} {value['value']:.1f}" for column, value in columns.items())
        say(f"{measure:<14}{shown}")


def _all(
    cases: int, task_cases: int, profile: Any, tasks: list[str] | None,
    workers: int, output: Path, resume: bool, device: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Score every shipped miniature in a folder of its own, and write the page of all."""
    from ..evaluation.scorecards_page import save

    names = _with_tasks(tasks or [])
    folders = {name: output / name for name in names}
    found = {
        name: _score(None, name, cases, task_cases, profile, tasks, workers, folder, resume, device, as_json)
        for name, folder in folders.items()
    }
    path = save(found, folders, output)
    if as_json:
        typer.echo(json.dumps({"page": str(path), "miniatures": found}))
    else:
        say(str(path))


def _with_tasks(tasks: list[str]) -> list[str]:
    """The miniatures whose weights are here and that are offered one of these tasks (none: any task)."""
    from ..evaluation.scorecard import ScorecardSettings, offered_tasks
    from ..evaluation.tasks import TASKS
    from ..evaluation.worker import Subject
    from ..weights import store

    if unknown := [task for task in tasks if task not in {each.name for each in TASKS}]:
        legal = ", ".join(each.name for each in TASKS)
        raise RequestError(f"No such task: {unknown[0]}.", field="task", value=unknown[0], legal=legal)
    found = []
    for name, model in SUBJECTS.items():
        if not any(card.id == model for card in store.known_cards()):
            continue
        with contextlib.suppress(ModelError):  # supports none of the tasks
            offered_tasks(Subject(model), ScorecardSettings(tasks=tuple(tasks)))
            found.append(name)
    if not found:
        raise RequestError(f"No miniature is given {', '.join(tasks)}.", field="task", value=", ".join(tasks))
    return found


def _score(
    model: str | None,
    name: str,
    count: int,
    task_count: int,
    profile: Any,
    task: list[str] | None,
    workers: int,
    output: Path,
    resume: bool,
    device: str | None,
    as_json: bool,
) -> dict[str, Any]:
    from ..weights import store

    if name not in SUBJECTS:
        raise RequestError(f"No miniature {name!r}.", field="name", value=name, legal=", ".join(SUBJECTS))
    if model is not None and (os.sep in model or model.startswith(".")) and not exists(Path(model).expanduser()):
        raise ModelError(f"{model}: no such folder or file.")
    store.locate(store.find(model or SUBJECTS[name]))
    no_stdout(output, "A folder of results")
    if exists(output) and not output.is_dir():
        raise RequestError(f"{output}: is a file, not a folder.", field="output", value=str(output))
    keep_apart({"output": output}, [model], replaced=False)
    from ..evaluation.scorecard import PROFILES, ScorecardSettings, scorecard

    settings = ScorecardSettings(
        count, task_count, tuple(profile or PROFILES), tuple(task or ()), workers, min(MOST_CHECKED, 4 * count)
    )
    command = ["kinema", "evaluate", "miniature", name, "--count", str(count), "--task-count", str(task_count)]
    command += [word for each in settings.profiles for word in ("--profile", each)]
    command += [word for each in settings.tasks for word in ("--task", each)]
    command += ["--model", model] if model else []
    with reporter(as_json) as on_event:
        return scorecard(
            model or SUBJECTS[name], output, settings, device=device, resume=resume, command=command, on_event=on_event
        )


@app.command("inpainting")
@guarded
def inpainting(
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="A miniature: a folder with a card.json, or a name.")
    ] = "kinema-mini-wan",
    count: Annotated[int, typer.Option("--count", metavar="N", help="Clips per experiment.")] = 24,
    profile: Annotated[
        Literal["exact", "balanced", "fast"], typer.Option("--profile", metavar="exact|balanced|fast")
    ] = "exact",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Only this experiment, A to G. Repeatable.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for inpainting.json, .md and sheets.")
    ] = Path("inpainting"),
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Score inpainting by a model: removal with and without a prompt, kept pixels, ... (experiments A to G)."""
    from ..evaluation import inpainting as runs

    names = [experiment.name for experiment in runs.EXPERIMENTS]
    for name in only or []:
        if name not in names:
            raise RequestError(f"No experiment {name!r}.", field="only", value=name, legal=", ".join(names))
    if count < 1:
        raise RequestError(f"--count {count}.", field="count", value=count, legal="1 or more")
    no_stdout(output, "A folder of results")
    if exists(output) and not output.is_dir():
        raise RequestError(f"{output}: is a file, not a folder.", field="output", value=str(output))
    keep_apart({"output": output}, [model], replaced=False)
    from ..engine.load import load
    from ..weights.store import digests

    with reporter(as_json) as on_event:
        on_event(Event("load"))
        engine = load(model, device=device)
    card_file = engine.location / "card.json"
    if not card_file.is_file():
        raise ModelError(f"{model}: only a miniature with a card.json can be scored.")
    card = read_json(card_file, dict, error=ModelError)
    clips: dict[str, Any] = {}
    with reporter(as_json) as on_event:
        found = runs.experiments(
            engine, card, count=count, profile=profile, names=tuple(only or ()), on_event=on_event, kept=clips
        )
    output.mkdir(parents=True, exist_ok=True)
    runs.write_sheets(clips, output)
    facts = {"model": engine.model, "profile": profile, "count": count, "weights_sha256": digests(engine.location)}
    write_text(output / "inpainting.json", json.dumps({**facts, "experiments": found}, indent=1))
    write_text(output / "inpainting.md", runs.table(found))
    answer(found, as_json, runs.table(found))
