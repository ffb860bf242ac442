"""Estimates and measurements of work without a model's plan (interpolation, resampling, music), stored with the models'
runs (measured.py)."""

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
"""The stage name under which the seconds of the work are stored."""


@dataclass(frozen=True)
class Work:
    """One kind of work. name: such as "interpolate film". stages: the stages of its events, each with its share of the
    work. start_s: expected seconds before the first unit (libraries, weights); work_s: of all units; both on an idle
    machine. units: the amount of work, for its size class (pixels, seconds of sound). loads: whether a model is loaded
    first; otherwise the start is part of the first stage. ahead: whether many units are begun before the first is
    finished: then the start cannot be timed, and what goes beyond `start_s` counts as work."""

    name: str
    stages: tuple[tuple[str, float], ...]
    start_s: float
    work_s: float
    units: float
    device: str = "cpu"
    loads: bool = False
    ahead: bool = False

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
        """Loading and the work, with durations from measurements on this machine, under its present load."""
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
    """Report the planned parts, yield the callback for the events of the work, and store its duration on success."""
    on_event(planned(*work.parts()))
    if work.loads:  # otherwise the work reports first, after its inputs are checked
        on_event(Event("load"))
    begun = (time.perf_counter(), time.process_time())
    first: tuple[float, float] | None = None

    def listen(event: Event) -> None:
        nonlocal first
        done = isinstance(event, Progress) and event.done
        if done and first is None and event.stage == work.stages[0][0]:
            first = (time.perf_counter(), time.process_time())
        on_event(event)

    yield listen
    if first is None:
        return
    end = (time.perf_counter(), time.process_time())
    start_s = alone(first[0] - begun[0], first[1] - begun[1])
    took_s = alone(end[0] - first[0], end[1] - first[1])
    if work.ahead:
        whole_s = start_s + took_s
        start_s = min(work.start_s, whole_s / 2)
        took_s = whole_s - start_s
    if took_s > 1e-3 and work.work_s > 1e-5:
        stages = {STAGE: (round(took_s, 4), round(work.work_s, 6))}
        start_s = max(round(start_s, 4), 1e-3)
        measured.keep(measured.MeasuredRun(work.name, work.device, "", work.size, start_s, stages, is_crowded()))
