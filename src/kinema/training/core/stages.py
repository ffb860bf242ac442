"""Run a recipe: a list of stages that share one wall-clock budget.

A recipe file (`recipes/*.py`) has a function `stages(settings: Settings) -> list[Stage]`. Stages run in order. Each
gets its fixed cost and a share of the remaining time (budget.py), so the later stages share what an earlier one
overruns or leaves. OUT/stages.json records the finished stages; `resume` skips them (run_folder.py).
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
from . import processes, run_folder, run_history
from .budget import Share, fixed_costs_text
from .settings import Settings, Stage

LIVE = ("out", "show", "on_event", "progress", "processes", "budget")
"""Settings that a run's record does not contain."""
OWN = Path(__file__).parents[1] / "recipes"


def load_recipe(path: Path) -> Callable[[Settings], list[Stage]]:
    """Load the `stages` function of a recipe: a file, or the name of one that ships with Kinema (training/recipes).
    Raises ValueError if the file or function is missing."""
    own = own_recipes()
    if str(path) in own:
        found = importlib.import_module(f"..recipes.{path}", __package__).stages
        return cast("Callable[[Settings], list[Stage]]", found)
    if not path.is_file():
        raise ValueError(f"No such recipe: {path}. Legal: a .py file, or one of {', '.join(own)}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, "stages", None)
    if found is None:
        raise ValueError(f"{path} is not a recipe: it has no function `stages`.")
    return found


def check(recipe: Path, settings: Settings, only: Sequence[str] = ()) -> None:
    """Check the settings of a recipe that ships with Kinema and the run in settings.out, without loading any library.
    Raises ValueError and RequestError as `run` does."""
    record = run_folder.read(settings.out)
    if str(recipe) in own_recipes():
        run_folder.stages_to_run(_known(load_recipe(recipe)(settings), only), settings, only, record)


def _known(stages: Sequence[Stage], only: Sequence[str]) -> Sequence[Stage]:
    """Return the stages. Raises ValueError if `only` names a stage that does not exist."""
    names = [stage.name for stage in stages]
    if unknown := [name for name in only if name not in names]:
        raise ValueError(f"No such stage: {unknown[0]}. Legal: {', '.join(names)}.")
    return stages


def own_recipes() -> list[str]:
    """Names of the recipes that ship with Kinema."""
    return sorted(file.stem for file in OWN.glob("*.py") if not file.stem.startswith("_"))


@quietly
def run(stages: Sequence[Stage], settings: Settings, only: Sequence[str] = ()) -> dict[str, Any]:
    """Run stages (or only those named) within settings.minutes; returns their results by name.

    Raises ValueError for an unknown stage, RequestError if settings.out holds a run that must not be changed this way,
    RunBusy if another process is training in it.
    """
    _known(stages, only)
    with run_folder.locked(settings.out), python_display(settings.progress if processes.first() else False) as shown:
        if processes.first():
            settings.budget.on_event = both(settings.on_event, shown)
        return _run(stages, settings, only)


def _run(stages: Sequence[Stage], settings: Settings, only: Sequence[str]) -> dict[str, Any]:
    record = run_folder.read(settings.out)
    todo = run_folder.stages_to_run(stages, settings, only, record)
    doing = {stage.name for stage in todo}
    kept = record.done if settings.resume or only else {}
    done: dict[str, Any] = {name: found for name, found in kept.items() if name not in doing}
    asked = plain(settings)
    if only and record.minutes:
        asked["minutes"] = record.minutes  # of the run, not of this stage
    spent = 0.0 if only else sum(one.get("minutes", 0.0) for one in done.values())
    if not todo:
        settings.show({"event": "note", "": "all stages of this run are done"})
        return done
    processes.wait()  # until all processes have read the record
    if processes.first():
        run_folder.write(settings.out, done, asked)
    kind = run_history.RunKind.of(
        settings.recipe, settings.device, processes.count(), settings.minutes, settings.options
    )  # fmt: skip
    estimates, budget = run_history.estimates(kind), settings.budget
    shares = [Share(stage.name, stage.share, estimates.get(stage.name, stage.fixed_cost)) for stage in todo]
    budget.begin(shares, settings.minutes, 60 * spent)
    if words := fixed_costs_text(shares, round(settings.minutes - spent, 1), budget.left_s):
        settings.show({"event": "note", "": words})
    for stage in todo:
        minutes = processes.agree(budget.allotted_s(budget.stages[0])) / 60
        settings.show({"event": "stage", "stage": stage.name, "minutes": round(minutes, 2)})
        budget.enter(60 * minutes)
        begun = budget.clock()
        found = stage.work(minutes) or {}
        budget.leave()
        found = {name: value for name, value in found.items() if name != "event"}  # the result of a loop is an event
        done[stage.name] = {"minutes": round((budget.clock() - begun) / 60, 3), **found}
        if processes.first():
            run_folder.write(settings.out, done, asked)
        processes.wait()
        settings.show({"event": "stage_done", "stage": stage.name, **done[stage.name]})
    if processes.first() and not settings.resume:  # stages that skip existing work cost too little
        run_history.add(kind, budget.observed)
    over = budget.over_s / 60
    if over > 0.1 * settings.minutes:
        words = f"the run took {settings.minutes + over:.1f} minutes, {over:.1f} more than --minutes"
        settings.show({"event": "note", "": words})
    settings.show({"event": "done", "minutes": round(budget.elapsed_s / 60, 3), "out": str(settings.out)})
    return done


def plain(settings: Settings) -> dict[str, Any]:
    """Return the recorded settings as JSON values."""
    names = [one.name for one in fields(settings) if one.name not in LIVE]
    return {name: getattr(settings, name) for name in names} | {"out": str(settings.out)}
