"""Works that have no plan of a model's (frames in between, resampling, music): what they are expected to take, and what
they took, kept beside the models' runs (measured.py), so that the next estimate is of this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..core.events import Event, OnEvent, Part, Progress, planned
from ..core.threads import alone, crowd, is_crowded
from . import measured

STAGE = "sample"
"""Under which the seconds of the work itself are kept."""


@dataclass(frozen=True)
class Work:
    """name: of the kind of work, as "interpolate film". stages: as its events name them, each with its share of the
    work. start_s: expected before its first unit (libraries, weights), work_s: of all units, both on an idle machine.
    units: what the work grows with, for its size class: pixels, seconds of sound. loads: is a model loaded first? Else
    the start is a part of the first stage."""

    name: str
    stages: tuple[tuple[str, float], ...]
    start_s: float
    work_s: float
    units: float
    device: str = "cpu"
    loads: bool = False

    @property
    def size(self) -> int:
        return round(math.log2(max(1.0, self.units)))

    def expected(self) -> tuple[float, float]:
        """Return the seconds of the start and of the work on this machine when it is idle."""
        known = measured.read()
        start_s = measured.start_s(known, self.name, self.device, False)
        factor = measured.factor(known, STAGE, self.name, self.device, "", self.size, False)
        return (self.start_s if start_s is None else start_s), self.work_s * (factor or 1.0)

    def parts(self) -> tuple[Part, ...]:
        """Loading and the work, as such work took on this machine, beside the other work that it has now."""
        known, times, busy = measured.read(), crowd(), is_crowded()
        start_s = measured.start_s(known, self.name, self.device, busy)
        factor = measured.factor(known, STAGE, self.name, self.device, "", self.size, busy)
        work_s = times * self.work_s * (factor or 1.0)
        load = Part("load", times * (self.start_s if start_s is None else start_s))
        first, *rest = (Part(name, share * work_s) for name, share in self.stages)
        if self.loads:
            return load, first, *rest
        return replace(first, seconds=load.seconds + first.seconds), *rest


@contextmanager
def timed(work: Work, on_event: OnEvent) -> Iterator[OnEvent]:
    """Tells what is to come, gives the listener for the events of the work, and keeps what it took if it ends well."""
    on_event(planned(*work.parts()))
    if work.loads:  # else the work speaks first, once nothing of what was given is refused
        on_event(Event("load"))
    begun = (time.perf_counter(), time.process_time())
    first: tuple[float, float] | None = None

    def listen(event: Event) -> None:
        nonlocal first
        told = isinstance(event, Progress) and event.done
        if told and first is None and event.stage == work.stages[0][0]:
            first = (time.perf_counter(), time.process_time())
        on_event(event)

    yield listen
    if first is None:
        return
    end = (time.perf_counter(), time.process_time())
    start_s = alone(first[0] - begun[0], first[1] - begun[1])
    took_s = alone(end[0] - first[0], end[1] - first[1])
    if took_s > 1e-3 and work.work_s > 1e-5:
        stages = {STAGE: (round(took_s, 4), round(work.work_s, 6))}
        start_s = max(round(start_s, 4), 1e-3)
        measured.keep(measured.MeasuredRun(work.name, work.device, "", work.size, start_s, stages, is_crowded()))
