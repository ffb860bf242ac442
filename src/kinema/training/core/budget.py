"""The time budget of a command: the seconds of each stage, and its deadline.

The clock starts with the command, so loading counts. Each stage has a fixed cost that does not depend on how long it
trains: preparation, the last evaluation and writing (`FixedCost`). The budget reserves the fixed costs of all remaining
stages and divides the rest among them. A training loop stops early enough for the evaluation and writing after it.
Estimates of fixed costs come from earlier runs on this machine (run_history.py) or from the recipe, and are scaled by
how long this run has taken so far, since a busy machine is slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from ...core.events import OnEvent, Part, Progress, ignore, planned

BEFORE, LEARNING, AFTER = range(3)
"""The phases of a stage, used as spans of its progress events."""
TRUST_S = 2.0
"""Weight of the estimates against the times observed so far, in seconds."""
SLOWEST, QUICKEST = 4.0, 0.25
UNKNOWN, UNKNOWN_S = 0.1, 30.0
"""Without an estimate, a loop leaves this share of its stage, and at most so many seconds, for the work after it."""
MARGIN = 1.1
"""Reserve for an evaluation, relative to the duration of the last one."""


class FixedCost(NamedTuple):
    """The fixed cost of a stage in seconds: before its training loop (the whole stage, if it has none), and after
    it."""

    before_s: float = 0.0
    after_s: float = 0.0

    @property
    def total_s(self) -> float:
        return self.before_s + self.after_s


NOTHING = FixedCost()


class Share(NamedTuple):
    """The claim of a stage on the budget. share: of the time left after fixed costs, relative to the other stages."""

    name: str
    share: float
    fixed_cost: FixedCost = NOTHING


@dataclass
class Running:
    """The running stage; times are those of the budget's clock. free_s: seconds that do not count as fixed cost."""

    share: Share
    began_s: float
    end_s: float
    phase: int = BEFORE
    free_s: float = 0.0
    loop_began_s: float = 0.0
    loop_ended_s: float = 0.0
    evaluation_s: float = 0.0
    taken: FixedCost = NOTHING


class Budget:
    """The time budget of one command. on_event: callback for progress events (core/events.py). began_s: start of the
    command by `clock`; None: the call of `begin`."""

    def __init__(
        self, on_event: OnEvent = ignore, *, began_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.on_event, self.began_s, self.clock = on_event, began_s, clock
        self.deadline_s = float("inf")
        self.counted_s = 0.0
        """Start of the budget, by the clock."""
        self.stages: list[Share] = []
        self.running: Running | None = None
        self.observed: dict[str, FixedCost] = {}
        """Measured fixed costs of the finished stages."""
        self.seen_s = self.expected_s = 0.0

    def begin(self, stages: Sequence[Share], minutes: float, spent_s: float = 0.0) -> None:
        """Start the budget. stages: those to run. spent_s: seconds of the minutes that earlier commands used."""
        self.counted_s = self.clock() if self.began_s is None else self.began_s
        self.deadline_s = self.counted_s + 60 * minutes - spent_s
        self.stages, self.running, self.observed = list(stages), None, {}
        self.seen_s = self.expected_s = 0.0
        self._plan()

    @property
    def left_s(self) -> float:
        return max(0.0, self.deadline_s - self.clock())

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the command."""
        return self.clock() - self.counted_s

    @property
    def over_s(self) -> float:
        """Seconds past the deadline; negative before it."""
        return self.clock() - self.deadline_s

    @property
    def needed_s(self) -> float:
        """Estimated fixed costs of the remaining stages."""
        return sum(each.fixed_cost.total_s for each in self.stages) * self.slowness

    @property
    def slowness(self) -> float:
        """Ratio of observed to estimated fixed costs in this run."""
        found = (self.seen_s + TRUST_S) / (self.expected_s + TRUST_S)
        return min(SLOWEST, max(QUICKEST, found))

    def allotted_s(self, share: Share) -> float:
        """Seconds for a remaining stage, if the running one ends on time."""
        shares = sum(each.share for each in self.stages)
        from_s = self.clock() if self.running is None else max(self.clock(), self.running.end_s)
        spare = max(0.0, self.deadline_s - from_s - self.needed_s)
        return share.fixed_cost.total_s * self.slowness + (spare * share.share / shares if shares else 0.0)

    # -- a stage ---------------------------------------------------------------------------------------------------

    def enter(self, seconds: float) -> None:
        """Start the next stage with so many seconds (`allotted_s`, the same in all processes)."""
        now = self.clock()
        share = self.stages.pop(0)
        self.running = Running(share, now, now + seconds)
        self._plan()
        self.report("preparing")

    def leave(self) -> FixedCost:
        """End the running stage; returns its measured fixed cost."""
        assert self.running is not None
        running, now = self.running, self.clock()
        if running.loop_ended_s:
            self._observe(running.share.fixed_cost.after_s, now - running.loop_ended_s)
            taken = FixedCost(running.taken.before_s, now - running.loop_ended_s)
        else:
            taken = FixedCost(max(0.0, now - running.began_s - running.free_s))
            self._observe(running.share.fixed_cost.before_s, taken.before_s)
        self.observed[running.share.name] = taken
        self.running = None
        return taken

    def resumed(self, before_s: float) -> None:
        """Subtract the seconds that an earlier command trained in this stage."""
        self.deadline_s -= before_s
        if self.running is not None:
            self.running.end_s -= before_s

    def begin_loop(self) -> None:
        """Mark the start of the stage's training loop. A second loop of the stage continues with its time."""
        if (running := self.running) is None:
            return
        running.phase, running.loop_began_s = LEARNING, self.clock()
        if not running.loop_ended_s:
            before = max(0.0, running.loop_began_s - running.began_s - running.free_s)
            self._observe(running.share.fixed_cost.before_s, before)
            running.taken = FixedCost(before)

    def loop_end_s(self, otherwise: float) -> float:
        """Deadline of the loop, by the clock. otherwise: the result if no stage is running, and the upper bound."""
        if (running := self.running) is None:
            return otherwise
        after = running.share.fixed_cost.after_s * self.slowness
        if not after:
            after = min(UNKNOWN_S, UNKNOWN * (running.end_s - running.began_s))
        return min(otherwise, running.end_s - max(after, MARGIN * running.evaluation_s))

    def evaluated(self, seconds: float) -> None:
        """Record the duration of an evaluation inside the loop."""
        if self.running is not None:
            self.running.evaluation_s = seconds

    def may_evaluate(self) -> bool:
        """Is there time for an optional evaluation? Not if it would take half of the remaining time."""
        if (running := self.running) is None:
            return True
        expected = running.evaluation_s or running.share.fixed_cost.after_s * self.slowness
        return self.clock() + 2 * expected < self.loop_end_s(float("inf"))

    def end_loop(self) -> None:
        """Mark the end of the training loop; the rest of the stage is fixed cost."""
        if self.running is not None:
            self.running.phase, self.running.loop_ended_s = AFTER, self.clock()

    @contextmanager
    def shortening(self) -> Iterator[None]:
        """Context of work that adapts to the available time and does not count as fixed cost."""
        began = self.clock()
        try:
            yield
        finally:
            if self.running is not None:
                self.running.free_s += self.clock() - began

    def fitting(self, most: int, least: int, each_s: float) -> int:
        """Number of items, `least` to `most`, that fit into the rest of the stage at `each_s` seconds each."""
        if self.running is None or each_s <= 0:
            return most
        return max(min(least, most), min(most, int((self.running.end_s - self.clock()) / each_s)))

    def _observe(self, expected_s: float, seen_s: float) -> None:
        if expected_s > 0:
            self.expected_s += expected_s
            self.seen_s += seen_s

    # -- progress --------------------------------------------------------------------------------------------------

    def report(self, doing: str, done: int = 0, total: int = 0) -> None:
        """Report the activity of the running stage and its progress."""
        if self.running is not None:
            name, phase = self.running.share.name, self.running.phase
            self.on_event(Progress(name, done, total, span=phase, doing=doing))

    def counting(self, doing: str) -> Callable[[int, int], None]:
        """A callback (done, total) that reports the progress of an activity."""
        return lambda done, total: self.report(doing, done, total)

    def _plan(self) -> None:
        """Send the plan of the running and all remaining stages."""
        parts: list[Part] = []
        if (running := self.running) is not None:
            parts += self._parts(running.share, running.end_s - running.began_s)
        for each in self.stages:
            parts += self._parts(each, self.allotted_s(each))
        self.on_event(planned(*parts))

    def _parts(self, share: Share, seconds: float) -> list[Part]:
        before, after = (each * self.slowness for each in share.fixed_cost)
        if not share.share:
            return [Part(share.name, max(before + after, 0.1))]
        between = max(0.1, seconds - before - after)
        return [
            Part(share.name, max(before, 0.1), BEFORE, doing="preparing"),
            Part(share.name, between, LEARNING, doing="training"),
            Part(share.name, max(after, 0.1), AFTER, doing="evaluating"),
        ]


def fixed_costs_text(stages: Sequence[Share], minutes: float, left_s: float, factor: float = 1.0) -> str:
    """The fixed costs as a sentence for the user; "" without estimates."""
    needs: Mapping[str, float] = {each.name: each.fixed_cost.total_s * factor for each in stages}
    total = sum(needs.values())
    if total < 1:
        late = f"{minutes:g} minutes is too short: loading used all of it. Each stage trains for one step."
        return late if left_s < 1 else ""
    longest = sorted((name for name in needs if needs[name] >= 1), key=lambda name: -needs[name])[:3]
    named = ", ".join(f"{name} {needs[name]:.0f} s" for name in longest)
    fixed = f"preparation, evaluation and writing need about {total:.0f} s ({named})"
    if total > left_s:
        over = total - left_s
        late = f"The run ends about {over:.0f} s late, with one training step per stage."
        return f"{minutes:g} minutes is too short: {fixed}. {late}"
    return f"{minutes:g} minutes in all: {fixed}, which leaves about {left_s - total:.0f} s for training."
