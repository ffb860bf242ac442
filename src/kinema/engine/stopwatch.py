"""How long the stages of one piece of work take, kept for the next estimate (engine/measured.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..core.chunk import Chunk
from ..core.events import Event, Note, OnEvent, Preview, Progress
from .estimate import Cost
from .measured import STAGES, Run, keep

STAGE = {"prepare": "encode", "edit": "decode"}
"""Stages that are measured as a part of another."""


class Stopwatch:
    """A listener between the loop and the caller's. Time that the caller takes, in its listener and between two chunks,
    is nobody's."""

    def __init__(self, on_event: OnEvent) -> None:
        self.on_event = on_event
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.stage = "encode"
        self.mark_s = time.perf_counter()
        self.sampled: set[int] = set()

    def __call__(self, event: Event) -> None:
        told = not isinstance(event, Note | Preview)
        named = STAGE.get(event.stage, event.stage)
        if told and isinstance(event, Progress):  # told after the work
            self.stage = named
            if named == "sample":
                self.sampled.add(event.span)
        self._count()
        if told:
            self.stage = named
        self.on_event(event)
        self.mark_s = time.perf_counter()

    def _count(self) -> None:
        now = time.perf_counter()
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self.mark_s
        self.mark_s = now

    def timed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks, timed."""
        self.mark_s = time.perf_counter()
        try:
            for chunk in chunks:
                self._count()
                yield chunk
                self.mark_s = time.perf_counter()
            self._count()
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def keep(self, cost: Cost, passes: int, start_s: float | None) -> None:
        """Keep what it took. cost: what was expected by arithmetic. passes: how many were expected to be sampled, of
        which an edit leaves out those with nothing to make. start_s: seconds of loading, where it was for this."""
        share = len(self.sampled) / max(1, passes)
        stages = {
            name: (round(self.seconds[name], 4), round(expected, 6))
            for name in STAGES
            if self.seconds[name] > 1e-3 and (expected := getattr(cost, f"{name}_s") * share) > 1e-5
        }
        if stages:
            keep(Run(cost.model, cost.device, cost.profile, cost.size, start_s, stages))
