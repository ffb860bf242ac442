"""Measured durations of work on this machine, stored in KINEMA_HOME to correct later estimates.

`measured.json` holds the last runs: model, device, profile, size class, seconds of the start (imports and loading
weights), and of each stage the seconds taken and the seconds expected by arithmetic. The median ratio of the last few
runs of the same model, device, profile and size (or the most similar ones) corrects the next estimate. A file that is
damaged, or of an older version of the arithmetic, counts as empty and is set aside by the next run.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from ..core.errors import KinemaError
from ..core.home import home
from ..core.json_state import JsonState, StateNewer
from ..core.outside import of_kind
from ..core.threads import cores

SCHEMA = 1
"""Version of the file and of the arithmetic, whose ratios are not comparable between versions."""
STAGES = ("encode", "sample", "decode")
LAST = 5
"""Number of runs of one kind that are stored and used."""
CROWDED_FACTOR = 1.5
"""Default increase of processor time under other load, until it is measured; observed: 1.2 (a start) to 2.3 (the
smallest networks), see docs/performance.md."""
MOST_RUNS = 300
MAX_BYTES = 1_000_000
LONGEST_S = 1e8
CALIBRATION = (128, 64, 64)
"""Matrices multiplied with themselves: number, rows, columns."""


@dataclass(frozen=True)
class MeasuredRun:
    """One run. `size`: its size class, the binary logarithm of the tokens denoised at once. `start_s`: None if the
    libraries or weights were already loaded. `stages`: (seconds taken, seconds by arithmetic). busy: whether the
    machine was under other load; shared caches then increase the processor time too."""

    model: str
    device: str
    profile: str
    size: int
    start_s: float | None = None
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)
    busy: bool = False

    @property
    def kind(self) -> tuple[str, str, str, int, bool]:
        return self.model, self.device, self.profile, self.size, self.busy


@dataclass(frozen=True)
class Measured:
    """All measurements of this machine. `core_gflops`: of one core in a matrix product; None: not measured yet."""

    runs: tuple[MeasuredRun, ...] = ()
    core_gflops: float | None = None


def file() -> Path:
    return home() / "measured.json"


def read() -> Measured:
    """The stored measurements; empty if there are none or the file is unusable."""
    return _measured(_state().read().value)


def _measured(found: Mapping[str, Any]) -> Measured:
    runs = []
    for each in found.get("runs", []):
        with contextlib.suppress(KinemaError, TypeError, ValueError, KeyError):
            runs.append(_run(each))
    gflops = found.get("core_gflops")
    return Measured(tuple(runs[-MOST_RUNS:]), None if gflops is None else _seconds(gflops))


def keep(run: MeasuredRun) -> None:
    """Store a run and drop the oldest ones. Does nothing if the folder is not writable."""

    def with_it(before: Measured) -> Measured:
        same = [each for each in before.runs if each.kind == run.kind][-(LAST - 1) :]
        others = [each for each in before.runs if each.kind != run.kind]
        return Measured((*others, *same, run)[-MOST_RUNS:], before.core_gflops)

    _change(with_it)


def factor(
    known: Measured, stage: str, model: str, device: str, profile: str, size: int, busy: bool = False
) -> float | None:
    """The ratio of a stage's duration to the arithmetic's, on an idle machine or (`busy`) under other load; None
    without similar runs."""
    found = [run for run in known.runs if run.device == device and stage in run.stages]

    def ratio(runs: list[MeasuredRun]) -> float | None:
        same = [run for run in runs if run.busy == busy]
        values = [run.stages[stage][0] / run.stages[stage][1] for run in same or runs]
        if not values:
            return None
        other = 1.0 if same else CROWDED_FACTOR if busy else 1 / CROWDED_FACTOR
        return other * median(values[-LAST:])

    likes = _nearness(model, profile, size, found)
    return next(filter(None, (ratio(list(filter(like, found))) for like in likes)), None)


def start_s(known: Measured, model: str, device: str, busy: bool = False) -> float | None:
    """Measured seconds of a start with this model on this device, or None."""
    own = [run for run in known.runs if run.start_s and (run.model, run.device) == (model, device)]
    own = [run for run in own if run.busy == busy] or own
    return median([run.start_s or 0.0 for run in own][-LAST:]) if own else None


def _nearness(model: str, profile: str, size: int, runs: list[MeasuredRun]) -> Iterable[Callable[[MeasuredRun], bool]]:
    """Yield predicates for runs of decreasing similarity; the last, for models (with a profile), accepts all models."""
    yield lambda run: (run.model, run.profile, run.size) == (model, profile, size)
    yield lambda run: (run.model, run.size) == (model, size)
    apart = min((abs(run.size - size) for run in runs if run.model == model), default=0)
    yield lambda run: run.model == model and abs(run.size - size) == apart
    if profile:
        yield lambda run: bool(run.profile)


def core_gflops() -> float:
    """GFLOP/s of one core in products of small matrices, measured once (takes milliseconds) and stored.

    Thread time is used, not wall time, so other load does not matter. The matrices are too small for BLAS to use
    several threads."""
    known = read()
    if known.core_gflops is not None:
        return known.core_gflops
    import numpy as np

    one = np.full(CALIBRATION, 0.5, np.float32)
    np.matmul(one, one)
    taken = []
    for _ in range(7):
        began = time.thread_time()
        np.matmul(one, one)
        taken.append(time.thread_time() - began)
    count, side, _ = CALIBRATION
    found = round(2 * count * side**3 / 1e9 / max(min(taken), 1e-5), 2)
    _change(lambda before: Measured(before.runs, found))
    return found


def _state() -> JsonState:
    return JsonState(file(), SCHEMA, check=_check, durable=False, max_bytes=MAX_BYTES)


def _check(value: dict[str, Any]) -> None:
    of_kind(value["runs"], "runs", list)
    if value.get("core_gflops") is not None:
        _seconds(value["core_gflops"])


def _change(to: Callable[[Measured], Measured]) -> None:
    with contextlib.suppress(OSError, StateNewer), _state().change() as value:
        now = to(_measured(value))
        value |= {"core_gflops": now.core_gflops, "runs": [asdict(run) for run in now.runs]}


def _run(given: Any) -> MeasuredRun:
    found: Mapping[str, Any] = of_kind(given, "a run", dict)
    started = found.get("start_s")
    stages = {
        name: (_seconds(took), _seconds(expected))
        for name, (took, expected) in of_kind(found["stages"], "stages", dict).items()
        if name in STAGES
    }
    model, device, profile = (of_kind(found[name], name, str)[:300] for name in ("model", "device", "profile"))
    start = None if started is None else _seconds(started)
    return MeasuredRun(
        model, device, profile, of_kind(found["size"], "size", int), start, stages, found.get("busy") is True
    )


def _seconds(value: Any) -> float:
    number = float(of_kind(value, "seconds", (int, float)))
    if not (math.isfinite(number) and 0 < number < LONGEST_S):
        raise ValueError(value)
    return number


def cpu_tflops(efficiency: float) -> float:
    """TFLOP/s of all cores of this process, for a network with this efficiency relative to a matrix product."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    used = min(cores(), int(threads)) if threads.isdecimal() and int(threads) else cores()
    return core_gflops() * used * efficiency / 1e3
