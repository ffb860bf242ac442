"""A recipe as a list of stages that share one wall-clock budget.

A recipe file (`recipes/*.py`) has a function `stages(settings: Settings) -> list[Stage]`. Stages run in order. Each
gets what it needs and its share of the time that is left (budget.py), so what one takes too long the later ones pay
together, and what one leaves they get. Finished stages are written down in OUT/stages.json, and with `resume` they are
not done again (run_folder.py).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from ...core.display import python_display
from ...core.events import both
from ...core.quiet import quietly
from . import processes, remembered, run_folder
from .budget import Share, in_words
from .settings import Settings, Stage

LIVE = ("out", "show", "on_event", "progress", "processes", "budget")
"""Settings that are no part of a run's record."""
OWN = Path(__file__).parents[1] / "recipes"


def load_recipe(path: Path) -> Callable[[Settings], list[Stage]]:
    """The `stages` function of a recipe: a file, or the name of one that comes with Kinema (training/recipes). Raises
    ValueError when there is no such file or function."""
    own = own_recipes()
    if str(path) in own:
        found = importlib.import_module(f"..recipes.{path}", __package__).stages
        return cast("Callable[[Settings], list[Stage]]", found)
    if not path.is_file():
        raise ValueError(f"There is no recipe {path}; a file, or one of: {', '.join(own)}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, "stages", None)
    if found is None:
        raise ValueError(f"{path} has no function `stages`, so it is not a recipe.")
    return found


def check(recipe: Path, settings: Settings, only: Sequence[str] = ()) -> None:
    """Refuse what can be refused without loading anything: what is asked of a recipe that comes with Kinema, and what
    may not be done to the run that is in settings.out. Raises ValueError and RequestError as it and `run` do."""
    record = run_folder.read(settings.out)
    if str(recipe) in own_recipes():
        run_folder.to_do(_known(load_recipe(recipe)(settings), only), settings, only, record)


def _known(stages: Sequence[Stage], only: Sequence[str]) -> Sequence[Stage]:
    """The stages; ValueError for a name that is none of theirs."""
    names = [stage.name for stage in stages]
    if unknown := [name for name in only if name not in names]:
        raise ValueError(f"There is no stage {unknown[0]!r}; there are {', '.join(names)}.")
    return stages


def own_recipes() -> list[str]:
    """Names of the recipes that come with Kinema."""
    return sorted(file.stem for file in OWN.glob("*.py") if not file.stem.startswith("_"))


@quietly
def run(stages: Sequence[Stage], settings: Settings, only: Sequence[str] = ()) -> dict[str, Any]:
    """Run stages (or only those named) within settings.minutes; returns what they gave, by name.

    Raises ValueError for a name that is not a stage, RequestError for what may not be done to the run that is in
    settings.out, RunBusy where another process trains into it.
    """
    _known(stages, only)
    with run_folder.alone(settings.out), python_display(settings.progress if processes.first() else False) as shown:
        if processes.first():
            settings.budget.on_event = both(settings.on_event, shown)
        return _run(stages, settings, only)


def _run(stages: Sequence[Stage], settings: Settings, only: Sequence[str]) -> dict[str, Any]:
    record = run_folder.read(settings.out)
    todo = run_folder.to_do(stages, settings, only, record)
    doing = {stage.name for stage in todo}
    kept = record.done if settings.resume or only else {}
    done: dict[str, Any] = {name: found for name, found in kept.items() if name not in doing}
    asked = plain(settings)
    if only and record.minutes:
        asked["minutes"] = record.minutes  # the run's, not this one stage's
    spent = 0.0 if only else sum(one.get("minutes", 0.0) for one in done.values())
    if not todo:
        settings.show({"event": "note", "": "every stage of this run is done; nothing is left to do"})
        return done
    processes.wait()  # until all have read the record
    if processes.first():
        run_folder.write(settings.out, done, asked)
    kind = remembered.RunKind.of(
        settings.recipe, settings.device, processes.count(), settings.minutes, settings.options
    )  # fmt: skip
    known, budget = remembered.takes(kind), settings.budget
    shares = [Share(stage.name, stage.share, known.get(stage.name, stage.takes)) for stage in todo]
    budget.begin(shares, settings.minutes, 60 * spent)
    if words := in_words(shares, round(settings.minutes - spent, 1), budget.left_s):
        settings.show({"event": "note", "": words})
    for stage in todo:
        minutes = processes.agree(budget.gets_s(budget.stages[0])) / 60
        settings.show({"event": "stage", "stage": stage.name, "minutes": round(minutes, 2)})
        budget.enter(60 * minutes)
        begun = budget.clock()
        found = stage.work(minutes) or {}
        budget.leave()
        found = {name: value for name, value in found.items() if name != "event"}  # a loop's result is one
        done[stage.name] = {"minutes": round((budget.clock() - begun) / 60, 3), **found}
        if processes.first():
            run_folder.write(settings.out, done, asked)
        processes.wait()
        settings.show({"event": "stage_done", "stage": stage.name, **done[stage.name]})
    if processes.first() and not settings.resume:  # what was there already took no time
        remembered.keep(kind, budget.observed)
    over = budget.over_s / 60
    if over > 0.1 * settings.minutes:
        words = f"it took {settings.minutes + over:.1f} minutes, {over:.1f} more than were asked for"
        settings.show({"event": "note", "": words})
    settings.show({"event": "done", "minutes": round(budget.took_s / 60, 3), "out": str(settings.out)})
    return done


def plain(settings: Settings) -> dict[str, Any]:
    """As JSON."""
    names = [one.name for one in fields(settings) if one.name not in LIVE]
    return {name: getattr(settings, name) for name in names} | {"out": str(settings.out)}
