"""Progress of several clips."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..core.events import Event, Note, OnEvent, Preview, Progress
from ..core.plan import Plan


class ClipsDone:
    """A callback that turns the events of one clip into the progress of all, in frames: `shot 3 of 8`, 93 of 204. Each
    note passes once. word: for one of them."""

    def __init__(self, on_event: OnEvent, plans: Sequence[Plan], word: str) -> None:
        self.on_event, self.plans, self.word = on_event, plans, word
        self.total = sum(plan.frames for plan in plans)
        self.finished, self.begun, self.done, self.index = 0, 0, 0, 0
        self.started = time.perf_counter()
        self.noted: set[str] = set()

    def skip(self, index: int) -> None:
        """Skip a reused clip; it is not counted, so that the speed is that of generating."""
        self.total -= self.plans[index].frames

    def begin(self, index: int) -> None:
        """Begin the next clip; the one before is finished."""
        self.index, self.finished = index, self.begun
        self.begun += self.plans[index].frames
        self._report(self.finished)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note) and event.text not in self.noted:
            self.noted.add(event.text)
            self.on_event(event)
        if isinstance(event, Preview) or not isinstance(event, Progress) or not event.total:
            return
        plan = self.plans[self.index]
        share = event.done / event.total
        if event.stage == "sample":
            windows = max(1, len(plan.spans))
            self._report(self.finished + plan.frames * 0.9 * min(1.0, (event.span + share) / windows))
        elif event.stage == "decode":
            self._report(self.finished + plan.frames * (0.9 + 0.1 * share))

    def _report(self, frames: float) -> None:
        self.done = max(self.done, int(frames))
        seconds = time.perf_counter() - self.started
        self.on_event(Progress(f"{self.word} {self.index + 1} of {len(self.plans)}", self.done, self.total, seconds))
