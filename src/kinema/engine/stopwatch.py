"""Measures the stages of one run for later estimates (engine/measured.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..core.chunk import Chunk
from ..core.closing import closed_after
from ..core.events import Event, Note, OnEvent, Outcome, Preview, Progress
from ..core.threads import alone, is_crowded
from .estimate import Cost
from .measured import STAGES, MeasuredRun, keep

STAGE = {"prepare": "encode", "edit": "decode"}
"""Stages that are counted as part of another."""


class Stopwatch:
    """A callback between the loop and the caller's callback. Time spent by the caller, in its callback and between two
    chunks, is not counted."""

    def __init__(self, on_event: OnEvent) -> None:
        self.on_event = on_event
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.processor_s = dict.fromkeys(STAGES, 0.0)
        self.processor_mark_s = time.process_time()
        self.stage = "encode"
        self.mark_s = time.perf_counter()
        self.sampled: set[int] = set()

    def __call__(self, event: Event) -> None:
        counts = not isinstance(event, Note | Outcome | Preview)
        stage = STAGE.get(event.stage, event.stage)
        if counts and isinstance(event, Progress):  # reported after the work
            self.stage = stage
            if stage == "sample":
                self.sampled.add(event.span)
        self._count()
        if counts:
            self.stage = stage
        self.on_event(event)
        self._mark()

    def _count(self) -> None:
        now, processor = time.perf_counter() - self.mark_s, time.process_time() - self.processor_mark_s
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now
        self.processor_s[self.stage] = self.processor_s.get(self.stage, 0.0) + processor
        self._mark()

    def _mark(self) -> None:
        self.mark_s, self.processor_mark_s = time.perf_counter(), time.process_time()

    def timed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks, timed."""
        self._mark()
        with closed_after(chunks):
            for chunk in chunks:
                self._count()
                yield chunk
                self._mark()
            self._count()

    def keep(self, cost: Cost, passes: int, start_s: float | None) -> None:
        """Store the durations. cost: the cost by arithmetic. passes: the planned number, of which an edit skips those
        with an empty mask. start_s: seconds of loading, if the model was loaded for this run."""
        share = len(self.sampled) / max(1, passes)
        took = dict(self.seconds)
        if cost.device == "cpu":
            took = {name: alone(took[name], self.processor_s[name]) for name in STAGES}
        stages = {
            name: (round(took[name], 4), round(expected, 6))
            for name in STAGES
            if took[name] > 1e-3 and (expected := getattr(cost, f"{name}_s") * share) > 1e-5
        }
        if stages:
            keep(MeasuredRun(cost.model, cost.device, cost.profile, cost.size, start_s, stages, is_crowded()))
