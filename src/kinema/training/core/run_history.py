"""The history of trainings on this machine: the fixed costs of their stages (budget.FixedCost), stored in
KINEMA_HOME/trainings.json and used as estimates for later runs. A damaged file counts as empty.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from ...core.errors import KinemaError
from ...core.home import home
from ...core.json_state import JsonState, StateNewer
from ...core.outside import of_kind
from .budget import FixedCost

LAST, MOST = 3, 100
"""Number of runs of one kind that estimates use, and of runs in the file."""
MAX_BYTES = 1_000_000
LONGEST_S = 1e7


@dataclass(frozen=True)
class RunKind:
    """Key of runs with similar costs: recipe, device, processes, a digest of the options, and the binary logarithm of
    the minutes, rounded, since recipes prepare and evaluate less in short runs."""

    recipe: str
    device: str
    processes: int
    size: int
    options: str

    @classmethod
    def of(cls, recipe: str, device: str, processes: int, minutes: float, options: Mapping[str, str]) -> RunKind:
        digest = hashlib.sha256(json.dumps(sorted(options.items())).encode()).hexdigest()[:12]
        return cls(recipe, device.partition(":")[0], processes, round(math.log2(minutes)), digest)


@dataclass(frozen=True)
class PastRun:
    kind: RunKind
    stages: Mapping[str, FixedCost]


def read() -> list[PastRun]:
    """Read all runs, oldest first."""
    return _runs(_state().read().value)


def estimates(kind: RunKind) -> dict[str, FixedCost]:
    """Estimate the fixed cost of each stage: the median of the last runs of this kind, or of runs that differ only in
    their options. Empty for a recipe without a name."""
    runs = read() if kind.recipe else []
    same = [run for run in runs if run.kind == kind]
    like = [run for run in runs if _without_options(run.kind) == _without_options(kind)]
    found: dict[str, FixedCost] = {}
    for run in same or like:
        for name in run.stages:
            values = [each.stages[name] for each in (same or like)[-LAST:] if name in each.stages]
            if values:
                found[name] = FixedCost(*(median(part) for part in zip(*values, strict=True)))
    return found


def add(kind: RunKind, stages: Mapping[str, FixedCost]) -> None:
    """Add a run. Does nothing if the file cannot be written or the recipe has no name."""
    if not kind.recipe or not stages:
        return
    with contextlib.suppress(OSError, StateNewer), _state().change() as value:
        runs = _runs(value)
        same = [run for run in runs if run.kind == kind][-(LAST - 1) :]
        others = [run for run in runs if run.kind != kind]
        value["runs"] = [_plain(run) for run in (*others, *same, PastRun(kind, stages))[-MOST:]]


def _without_options(kind: RunKind) -> tuple[str, str, int, int]:
    return kind.recipe, kind.device, kind.processes, kind.size


def _state() -> JsonState:
    return JsonState(
        home() / "trainings.json", 1, check=lambda value: of_kind(value["runs"], "runs", list), durable=False,
        max_bytes=MAX_BYTES,
    )  # fmt: skip


def _runs(value: Mapping[str, Any]) -> list[PastRun]:
    return list(_readable(value.get("runs", [])))


def _readable(given: Iterable[Any]) -> Iterable[PastRun]:
    for each in given:
        with contextlib.suppress(KinemaError, TypeError, ValueError, KeyError):
            found = of_kind(each, "a run", dict)
            kind = RunKind(
                of_kind(found["recipe"], "recipe", str)[:300], of_kind(found["device"], "device", str)[:300],
                of_kind(found["processes"], "processes", int), of_kind(found["size"], "size", int),
                of_kind(found["options"], "options", str)[:300],
            )  # fmt: skip
            stages = of_kind(found["stages"], "stages", dict)
            yield PastRun(
                kind, {name: FixedCost(*map(_seconds, of_kind(pair, name, list))) for name, pair in stages.items()}
            )


def _plain(run: PastRun) -> dict[str, Any]:
    pairs = {name: [round(each, 2) for each in pair] for name, pair in run.stages.items()}
    return {**vars(run.kind), "stages": pairs}


def _seconds(value: Any) -> float:
    number = float(of_kind(value, "seconds", (int, float)))
    if not 0 <= number < LONGEST_S:
        raise ValueError(value)
    return number
