"""No test of the default suite takes more than LIMIT_S; what takes longer is marked slow (`make test-all`).

What is counted is what a test costs a machine that is at rest, so that a busy machine fails nothing:

- processor time of this process and of the children that it has waited for: at most LIMIT_S;
- waiting (for a clock, a server, a browser): at most WAITING * LIMIT_S, because cores are free meanwhile. That is time
  on the clock less the time in which some process of the machine stood waiting for a core (Linux: "some" of
  /proc/pressure/cpu), and less what the test waited for another worker (once.py). On a machine that is busy all the
  time nothing of it is left, and elsewhere than on Linux it is not counted: processor time alone is the measure then.

Processor time itself grows where cores share caches and memory with other work: with twelve busy processes on two
cores the same convolutions took 0.20 to 0.34 s of it (fourteen times in a row). While a core was waited for in more
than half of a test's time its limits are therefore BUSY times as long. A fixture counts for the test that makes it. A
machine that is slower than the two cores of continuous integration says so: KINEMA_TEST_LIMIT=30.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import once
import pytest

LIMIT_S = float(os.environ.get("KINEMA_TEST_LIMIT", "15"))
BUSY = 2.0
WAITING = 2.0
PRESSURE = Path("/proc/pressure/cpu")
UNLIMITED = ("slow", "gpu")


@dataclass(frozen=True)
class Reading:
    """Seconds so far: processor (children included), clock, some process without a core, waiting for another worker."""

    processor: float
    clock: float
    crowded: float | None
    waited: float = 0.0

    @staticmethod
    def now() -> Reading:
        times = os.times()
        return Reading(sum(times[:4]), time.monotonic(), crowded(), once.waited_s)


def crowded(pressure: Path = PRESSURE) -> float | None:
    """Seconds in which some process waited for a core, since the machine was started; None where that is not known."""
    try:
        found = re.search(r"^some .*\btotal=(\d+)$", pressure.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1e6 if found else None


@dataclass(frozen=True)
class Cost:
    """Of a test: seconds of processors, seconds of waiting with a free core, and how much of each it may cost."""

    processor: float
    waiting: float
    limit: float

    @property
    def too_much(self) -> bool:
        return self.processor > self.limit or self.waiting > WAITING * self.limit

    @staticmethod
    def between(before: Reading, after: Reading, limit: float = LIMIT_S) -> Cost:
        processor = after.processor - before.processor
        if before.crowded is None or after.crowded is None:
            return Cost(processor, 0.0, limit * BUSY)
        clock = after.clock - before.clock - (after.waited - before.waited)
        busy = after.crowded - before.crowded
        return Cost(processor, max(0.0, clock - busy), limit * BUSY if busy > clock / 2 else limit)


class TimeLimit:
    """The hooks. A test over its limit fails after its call; what only its teardown brings over it is an error."""

    def __init__(self) -> None:
        self.began: dict[str, Reading] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.began[item.nodeid] = Reading.now()
        try:
            return (yield)
        finally:
            self.began.pop(item.nodeid, None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report: pytest.TestReport = yield
        limited = not any(item.get_closest_marker(name) for name in UNLIMITED)
        if not report.passed:
            self.began.pop(item.nodeid, None)  # it has failed in words of its own
        if call.when == "setup" or not limited or item.nodeid not in self.began:
            return report
        cost = Cost.between(self.began[item.nodeid], Reading.now())
        if cost.too_much:
            report.outcome = "failed"
            report.longrepr = (
                f"{item.nodeid} cost {cost.processor:.1f} s of processors and {cost.waiting:.1f} s of waiting, with "
                f"its fixtures; a default test may cost {cost.limit:g} s and {WAITING * cost.limit:g} s. Make it "
                "cheaper, or mark it slow: `make test-all` runs it then."
            )
            del self.began[item.nodeid]
        return report
