"""The minutes of a command: what each stage gets of them, and when it has to be done.

The clock begins with the command, so that loading counts. Of its time a stage needs a part however little it learns:
what it prepares, and the last evaluation and writing (`Takes`). That much is set aside for every stage that is still to
come, and what is then left is shared out. A training loop ends so early that the evaluation and the writing after it
end with the stage. What they take is known from earlier runs on this machine (remembered.py), else from the recipe, and
corrected by how this run went so far: beside other work everything takes longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from ...core.events import OnEvent, Part, Progress, ignore, planned

BEFORE, LEARNING, AFTER = range(3)
"""The phases of a stage: spans of its events."""
TRUST_S = 2.0
"""Expected times count as much as this many seconds of observation."""
SLOWEST, QUICKEST = 4.0, 0.25
UNKNOWN, UNKNOWN_S = 0.1, 30.0
"""Where nothing is known, a loop leaves this share of its stage for what comes after, and at most so many seconds."""
MARGIN = 1.1
"""An evaluation may take so much longer than the last one."""


class Takes(NamedTuple):
    """Seconds that a stage needs however little it learns: before its training loop (or in all, where it has none), and
    after it."""

    before_s: float = 0.0
    after_s: float = 0.0

    @property
    def total_s(self) -> float:
        return self.before_s + self.after_s


NOTHING = Takes()


class Share(NamedTuple):
    """A stage as a budget sees it. share: of what is left, relative to the others."""

    name: str
    share: float
    takes: Takes = NOTHING


@dataclass
class Running:
    """The stage that is being done, by the budget's clock. free_s: seconds of it that could have been fewer."""

    share: Share
    began_s: float
    end_s: float
    phase: int = BEFORE
    free_s: float = 0.0
    loop_began_s: float = 0.0
    loop_ended_s: float = 0.0
    evaluation_s: float = 0.0
    taken: Takes = NOTHING


class Budget:
    """One for a command. on_event: is told what is done (core/events.py). began_s: when the command began, by the
    clock; None: with `begin`."""

    def __init__(
        self, on_event: OnEvent = ignore, *, began_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.on_event, self.began_s, self.clock = on_event, began_s, clock
        self.deadline_s = float("inf")
        self.counted_s = 0.0
        """From when the minutes are counted."""
        self.stages: list[Share] = []
        self.running: Running | None = None
        self.observed: dict[str, Takes] = {}
        """What the finished stages took."""
        self.seen_s = self.expected_s = 0.0

    def begin(self, stages: Sequence[Share], minutes: float, spent_s: float = 0.0) -> None:
        """stages: those that are to be done. spent_s: what an earlier command spent of the minutes."""
        self.counted_s = self.clock() if self.began_s is None else self.began_s
        self.deadline_s = self.counted_s + 60 * minutes - spent_s
        self.stages, self.running, self.observed = list(stages), None, {}
        self.seen_s = self.expected_s = 0.0
        self._plan()

    @property
    def left_s(self) -> float:
        return max(0.0, self.deadline_s - self.clock())

    @property
    def took_s(self) -> float:
        """Seconds of this command until now."""
        return self.clock() - self.counted_s

    @property
    def over_s(self) -> float:
        """Seconds since the time was over; negative before that."""
        return self.clock() - self.deadline_s

    @property
    def needed_s(self) -> float:
        """What the stages to come take at least."""
        return sum(each.takes.total_s for each in self.stages) * self.slowness

    @property
    def slowness(self) -> float:
        """How many times as long as expected things take today."""
        found = (self.seen_s + TRUST_S) / (self.expected_s + TRUST_S)
        return min(SLOWEST, max(QUICKEST, found))

    def gets_s(self, share: Share) -> float:
        """Seconds for a stage to come, as things stand, if the running one ends when it should."""
        shares = sum(each.share for each in self.stages)
        from_s = self.clock() if self.running is None else max(self.clock(), self.running.end_s)
        spare = max(0.0, self.deadline_s - from_s - self.needed_s)
        return share.takes.total_s * self.slowness + (spare * share.share / shares if shares else 0.0)

    # -- a stage ---------------------------------------------------------------------------------------------------

    def enter(self, seconds: float) -> None:
        """The next stage begins, and gets so many seconds (`gets_s`, on which several processes agree)."""
        now = self.clock()
        share = self.stages.pop(0)
        self.running = Running(share, now, now + seconds)
        self._plan()
        self.tell("preparing")

    def leave(self) -> Takes:
        """The stage is done; what it took at least."""
        assert self.running is not None
        running, now = self.running, self.clock()
        if running.loop_ended_s:
            self._observe(running.share.takes.after_s, now - running.loop_ended_s)
            taken = Takes(running.taken.before_s, now - running.loop_ended_s)
        else:
            taken = Takes(max(0.0, now - running.began_s - running.free_s))
            self._observe(running.share.takes.before_s, taken.before_s)
        self.observed[running.share.name] = taken
        self.running = None
        return taken

    def resumed(self, before_s: float) -> None:
        """An earlier command trained for so long at this stage."""
        self.deadline_s -= before_s
        if self.running is not None:
            self.running.end_s -= before_s

    def learn(self) -> None:
        """The stage's training loop begins. A second one of the same stage goes on with its time."""
        if (running := self.running) is None:
            return
        running.phase, running.loop_began_s = LEARNING, self.clock()
        if not running.loop_ended_s:
            before = max(0.0, running.loop_began_s - running.began_s - running.free_s)
            self._observe(running.share.takes.before_s, before)
            running.taken = Takes(before)

    def loop_end_s(self, otherwise: float) -> float:
        """When the loop has to end, by the clock. otherwise: where no stage of a budget is running."""
        if (running := self.running) is None:
            return otherwise
        after = running.share.takes.after_s * self.slowness
        if not after:
            after = min(UNKNOWN_S, UNKNOWN * (running.end_s - running.began_s))
        return min(otherwise, running.end_s - max(after, MARGIN * running.evaluation_s))

    def evaluated(self, seconds: float) -> None:
        """An evaluation within the loop took so long."""
        if self.running is not None:
            self.running.evaluation_s = seconds

    def may_evaluate(self) -> bool:
        """Is there time for an evaluation that can be left out? Not where it would take half of what is left."""
        if (running := self.running) is None:
            return True
        expected = running.evaluation_s or running.share.takes.after_s * self.slowness
        return self.clock() + 2 * expected < self.loop_end_s(float("inf"))

    def learnt(self) -> None:
        """The loop has taken its last step; what follows cannot be shortened."""
        if self.running is not None:
            self.running.phase, self.running.loop_ended_s = AFTER, self.clock()

    @contextmanager
    def shortening(self) -> Iterator[None]:
        """What is done in this block took no longer than there was time for: it is no part of what a stage needs."""
        began = self.clock()
        try:
            yield
        finally:
            if self.running is not None:
                self.running.free_s += self.clock() - began

    def fitting(self, most: int, least: int, each_s: float) -> int:
        """How many of `most` things can be made in what is left of the stage, at so many seconds each; `least` in any
        case."""
        if self.running is None or each_s <= 0:
            return most
        return max(min(least, most), min(most, int((self.running.end_s - self.clock()) / each_s)))

    def _observe(self, expected_s: float, seen_s: float) -> None:
        if expected_s > 0:
            self.expected_s += expected_s
            self.seen_s += seen_s

    # -- how far it is ---------------------------------------------------------------------------------------------

    def tell(self, doing: str, done: int = 0, total: int = 0) -> None:
        """What the running stage is doing, and how much of it is done."""
        if self.running is not None:
            name, phase = self.running.share.name, self.running.phase
            self.on_event(Progress(name, done, total, span=phase, doing=doing))

    def counting(self, doing: str) -> Callable[[int, int], None]:
        """A listener for counts: done, of how many."""
        return lambda done, total: self.tell(doing, done, total)

    def _plan(self) -> None:
        """All that is to come, the running stage included, as things stand."""
        parts: list[Part] = []
        if (running := self.running) is not None:
            parts += self._parts(running.share, running.end_s - running.began_s)
        for each in self.stages:
            parts += self._parts(each, self.gets_s(each))
        self.on_event(planned(*parts))

    def _parts(self, share: Share, seconds: float) -> list[Part]:
        before, after = (each * self.slowness for each in share.takes)
        if not share.share:
            return [Part(share.name, max(before + after, 0.1))]
        between = max(0.1, seconds - before - after)
        return [
            Part(share.name, max(before, 0.1), BEFORE, doing="preparing"),
            Part(share.name, between, LEARNING, doing="learning"),
            Part(share.name, max(after, 0.1), AFTER, doing="evaluating"),
        ]


def in_words(stages: Sequence[Share], minutes: float, left_s: float, factor: float = 1.0) -> str:
    """What cannot be shortened, said before it begins; "" where nothing is known of it."""
    needs: Mapping[str, float] = {each.name: each.takes.total_s * factor for each in stages}
    total = sum(needs.values())
    if total < 1:
        late = f"{minutes:g} minutes are too few: loading took them. Each stage learns for one step."
        return late if left_s < 1 else ""
    longest = sorted((name for name in needs if needs[name] >= 1), key=lambda name: -needs[name])[:3]
    named = ", ".join(f"{name} {needs[name]:.0f} s" for name in longest)
    what = f"preparing, evaluating and writing take about {total:.0f} s and cannot be shortened ({named})"
    if total > left_s:
        over = total - left_s
        late = f"It will end about {over:.0f} s later, with one step of learning for each stage."
        return f"{minutes:g} minutes are too few: {what}. {late}"
    return f"{minutes:g} minutes in all: {what}, about {left_s - total:.0f} s are left to learn in."
