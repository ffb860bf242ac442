"""Overall progress computed from events: the fraction done and the seconds left.

Each planned part is weighted by its expected duration. Once a stage has run for a while, its measured pace corrects the
expected duration of its remaining parts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import KinemaError
from .events import Event, Note, Outcome, Part, Planned, Preview, Progress

TRUST_S = 1.0
"""Weight of the expected pace, in seconds of observation."""
WINDOW = "sample"
"""The stage whose spans are counted as the parts of the clip."""
NEARLY = 0.95
"""Upper bound of the fraction of a part that reports no progress and takes longer than expected."""


@dataclass(frozen=True)
class ProgressState:
    """A snapshot of the progress. `fraction`, `left_s`: overall; None while unknown. `stage` is number `stage_number`
    of `stages`; `part` of `parts` counts the windows in time. `done` of `total`: units of this part. `doing`: the
    activity within the stage, if it has a name."""

    stage: str
    fraction: float | None = None
    left_s: float | None = None
    stage_number: int = 1
    stages: int = 1
    part: int = 1
    parts: int = 1
    done: int = 0
    total: int = 0
    doing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The state as plain JSON, for another process that shows it."""
        return {
            "fraction": None if self.fraction is None else round(self.fraction, 4), "stage": self.stage,
            "step": self.done, "steps": self.total,
            "seconds_left": None if self.left_s is None else round(self.left_s, 2),
            "stage_number": self.stage_number, "stages": self.stages, "part": self.part, "parts": self.parts,
            "doing": self.doing,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProgressState:
        """The state of plain JSON. KinemaError if a field has another type; missing ones have their defaults."""

        def number(name: str, default: int) -> int:
            value = data.get(name, default)
            if type(value) is not int or not 0 <= value < 2**53:
                raise KinemaError(f"Not a progress: {name} is no count.")
            return value

        def share(name: str, most: float) -> float | None:
            value = data.get(name)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
                return float(value)
            if value is not None:
                raise KinemaError(f"Not a progress: {name} is not from 0 to {most:g}.")
            return None

        return cls(
            str(data.get("stage", "")), share("fraction", 1.0), share("seconds_left", 1e9),
            number("stage_number", 1), number("stages", 1), number("part", 1), number("parts", 1),
            number("step", 0), number("steps", 0), str(data.get("doing", "")),
        )  # fmt: skip


@dataclass(frozen=True)
class Reported(Event):
    """The progress of work in another process, as it computed it."""

    state: ProgressState = field(kw_only=True)


class Overall:
    """An event callback that accumulates the progress of one run. The fraction never decreases: a skipped part counts
    as done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.parts: list[Part] = []
        self.at = -1
        """Index of the running part; -1 before the first."""
        self.stage, self.doing, self.done, self.total = "", "", 0, 0
        self.began_s = clock()
        self.share = 0.0
        """Fraction of the running part, from its units."""
        self.seen: dict[tuple[str, str], list[float]] = {}
        """Of finished parts, by kind: seconds taken, seconds expected."""
        self.highest = 0.0
        self.reported: ProgressState | None = None
        self.reported_s = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Reported):
            self.reported, self.reported_s = event.state, self.clock()
            return
        if isinstance(event, Planned):
            self._plan(list(event.parts))
            return
        if isinstance(event, Note | Preview | Outcome) or not self._enter(event):
            return
        if event.doing != self.doing:
            self.doing, self.done, self.total = event.doing, 0, 0
        if isinstance(event, Progress):
            self.done, self.total = event.done, event.total
            if event.total:
                self.share = max(self.share, min(1.0, event.done / event.total))

    def _plan(self, new: list[Part]) -> None:
        """Keep finished parts; replace the same number of remaining parts if their stages match, else all of them."""
        kept, old = self.parts[: self.at + 1], self.parts[self.at + 1 :]
        if [part.stage for part in old[: len(new)]] == [part.stage for part in new]:
            new = new + old[len(new) :]
        self.parts = kept + new

    def _enter(self, event: Event) -> bool:
        """Advance to the part that an event belongs to. False if the event does not concern the running part."""
        span = event.span if isinstance(event, Progress) else None
        found = self._find(event.stage, span)
        if found is None:
            if self.parts or (event.stage == "write" and self.stage not in ("", "write")):
                return False  # a file is written while frames are generated
            if self._counts_on(event):
                self.stage = event.stage
            else:
                self._begin(event.stage)
        elif found != self.at:
            self._close()
            self.at = found
            self._begin(event.stage, again=True)
        return True

    def _counts_on(self, event: Event) -> bool:
        """Whether a stage without a plan continues the count of the one before ("clip 2 of 6" after "clip 1 of 6"). The
        pace is then that of the whole count. Items that existed already are excluded from the total."""
        return isinstance(event, Progress) and 0 < self.done <= event.done and 0 < event.total <= self.total

    def _find(self, stage: str, span: int | None) -> int | None:
        """The part that an event belongs to: the running one, or the next that matches."""
        for index in range(max(0, self.at), len(self.parts)):
            part = self.parts[index]
            if part.stage == stage and (span is None or part.span is None or part.span == span):
                return index
        return None

    def _begin(self, stage: str, again: bool = False) -> None:
        if again or stage != self.stage:
            self.stage, self.done, self.total, self.share, self.began_s = stage, 0, 0, 0.0, self.clock()

    def _close(self) -> None:
        """Record the duration of the running part, unless it was skipped at once."""
        took = self.clock() - self.began_s
        if self.at >= 0 and (self.share > 0 or took > 0.01):
            seen = self.seen.setdefault(_kind(self.parts[self.at]), [0.0, 0.0])
            seen[0] += took
            seen[1] += self.parts[self.at].seconds

    def now(self) -> ProgressState:
        """The current state; between two events it is extrapolated."""
        if self.reported is not None:
            left_s, passed_s = self.reported.left_s, self.clock() - self.reported_s
            return self.reported if left_s is None else replace(self.reported, left_s=max(0.0, left_s - passed_s))
        if self.at < 0 or not self.parts:
            return self._alone()
        part = self.parts[self.at]
        took = self.clock() - self.began_s
        pace = self._pace(part, took)
        expected = max(part.seconds * pace, 1e-6)
        share = self.share if self.total else min(NEARLY, took / expected)
        left = (1 - share) * expected if self.total else max(expected - took, (1 - NEARLY) * expected)
        rest = sum(each.seconds * self._pace(each) for each in self.parts[self.at + 1 :])
        done = sum(each.seconds for each in self.parts[: self.at]) + share * part.seconds
        whole = sum(each.seconds for each in self.parts)
        self.highest = max(self.highest, done / whole if whole else 0.0)
        kinds = list(dict.fromkeys(each.stage for each in self.parts))
        spans = list(dict.fromkeys(each.span for each in self.parts if each.stage == WINDOW))
        running = part.span if part.span is not None else self._next_span()
        count = max(1, len(spans))
        place = spans.index(running) + 1 if running in spans else count
        number = kinds.index(part.stage) + 1
        left_s, highest = left + rest, min(1.0, self.highest)
        return ProgressState(
            part.stage, highest, left_s, number, len(kinds), place, count, self.done, self.total, self.doing
        )  # fmt: skip

    def _next_span(self) -> int | None:
        return next((each.span for each in self.parts[self.at :] if each.stage == WINDOW), None)

    def _pace(self, part: Part, took: float | None = None) -> float:
        """Measured over expected duration of parts of this kind. took: seconds since the running part began."""
        seen, expected = self.seen.get(_kind(part), (0.0, 0.0))
        running = self.parts[self.at]
        if _kind(running) == _kind(part) and self.total and self.share > 0:
            seen += self.clock() - self.began_s if took is None else took
            expected += running.seconds * self.share
        return (seen + TRUST_S) / (expected + TRUST_S)

    def _alone(self) -> ProgressState:
        """The state without a plan: that of the running stage alone."""
        if not self.total or not self.done:
            return ProgressState(self.stage, done=self.done, total=self.total, doing=self.doing)
        took = self.clock() - self.began_s
        left = took / self.done * (self.total - self.done)
        return ProgressState(self.stage, self.share, left, done=self.done, total=self.total, doing=self.doing)


def _kind(part: Part) -> tuple[str, str]:
    """The kind of a part; parts of one kind share a pace."""
    return part.stage, part.doing
