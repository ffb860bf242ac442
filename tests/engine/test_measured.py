"""Measured durations are stored, within bounds, and used by the next estimate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from kinema.core import threads
from kinema.core.events import Event, Planned, Progress
from kinema.core.request import Request
from kinema.engine import estimate, measured, plan, stopwatch
from kinema.engine.measured import LAST, MOST_RUNS, Measured, MeasuredRun, factor
from kinema.engine.stopwatch import Stopwatch
from kinema.families.wan.cards import CARDS, MINI

CROWD, IS_CROWDED = threads.crowd, threads.is_crowded
WAN = next(card for card in CARDS if card.id == "wan2.1-t2v-1.3b")


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    for module in (threads, estimate):
        monkeypatch.setattr(module, "crowd", lambda: 1.0)
        monkeypatch.setattr(module, "is_crowded", lambda: False)
    monkeypatch.setattr(stopwatch, "is_crowded", lambda: False)


def run(seconds: float, expected: float = 1.0, **fields) -> MeasuredRun:
    given = {"model": "m", "device": "cpu", "profile": "exact", "size": 6, **fields}
    return MeasuredRun(stages={"sample": (seconds, expected)}, **given)


def test_the_median_of_the_last_few_counts():
    for seconds in (100, 100, 100, 1, 2, 3, 4, 50):
        measured.keep(run(seconds))
    known = measured.read()
    assert len(known.runs) == LAST
    assert factor(known, "sample", "m", "cpu", "exact", 6) == 3


def test_the_nearest_runs_count():
    known = Measured((run(2), run(3, profile="fast"), run(5, size=9), run(7, model="n"), run(9, device="mps")))
    assert factor(known, "sample", "m", "cpu", "exact", 6) == 2
    assert factor(known, "sample", "m", "cpu", "balanced", 6) == 2.5, "another profile of the same size"
    assert factor(known, "sample", "m", "cpu", "exact", 12) == 5, "the nearest size"
    assert factor(known, "sample", "other", "cpu", "exact", 6) == 4, "those of all models, rather than none"
    assert factor(known, "sample", "m", "cuda", "exact", 6) is None
    assert factor(known, "decode", "m", "cpu", "exact", 6) is None


def test_the_file_is_bounded():
    measured._change(lambda _: Measured(tuple(run(1, model=f"m{number}") for number in range(MOST_RUNS))))
    for number in range(3):
        measured.keep(run(1, model=f"new{number}"))
    names = [each.model for each in measured.read().runs]
    assert len(names) == MOST_RUNS and names[0] == "m3" and names[-1] == "new2"
    assert measured.file().stat().st_size < measured.MAX_BYTES


GOOD = {"model": "m", "device": "cpu", "profile": "exact", "size": 6, "start_s": 2.0, "stages": {"sample": [2.0, 1.0]}}
BAD = [
    b"", b"{", b"[]", b"\xff", b'{"schema": 0, "runs": []}', b'{"schema": 1}', b'{"schema": 1, "runs": 5}',
    b'{"schema": 1, "runs": [], "core_gflops": "x"}', b'{"schema": 1, "runs": [], "core_gflops": -1}', b"[" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("data", BAD)
def test_a_damaged_file_counts_as_empty_and_heals(data):
    measured.file().parent.mkdir(parents=True)
    measured.file().write_bytes(data)
    assert measured.read() == Measured()
    assert plan.plan(Request(prompt="x", model=MINI.id), device="cpu").estimate.seconds > 0
    measured.keep(run(2))
    assert factor(measured.read(), "sample", "m", "cpu", "exact", 6) == 2


@pytest.mark.parametrize(
    "change",
    [{"size": "x"}, {"model": 5}, {"stages": 5}, {"stages": {"sample": [0, 1]}}, {"stages": {"sample": [1, -1]}},
     {"stages": {"sample": [1e300, 1]}}, {"stages": {"sample": 5}}, {"start_s": -1}, {"start_s": True}],
)  # fmt: skip
def test_a_damaged_run_is_left_out(change):
    measured.file().parent.mkdir(parents=True)
    measured.file().write_text(json.dumps({"schema": 1, "runs": [GOOD, GOOD | change, 7]}))
    assert len(measured.read().runs) == 1


def test_a_home_that_cannot_be_written_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "file"))
    measured.keep(run(1))
    assert measured.read() == Measured()
    assert measured.core_gflops() > 0.1


def test_estimates_follow_what_was_measured():
    asked = Request(prompt="x", model=WAN.id, seed=1)
    before = plan.plan(asked, device="cpu")
    cost = estimate.arithmetic(before, WAN, "cpu")
    assert not before.estimate.measured and before.estimate.start > 5
    measured.keep(
        MeasuredRun(WAN.id, "cpu", cost.profile, cost.size, 3.5, {"sample": (2 * cost.sample_s, cost.sample_s)})
    )  # fmt: skip
    after = plan.plan(asked, device="cpu").estimate
    assert after.measured and after.start == 3.5
    assert after.seconds == pytest.approx(before.estimate.seconds + cost.sample_s, rel=0.01)
    half = plan.plan(asked.changed(steps=25), device="cpu").estimate
    assert half.seconds == pytest.approx(after.seconds / 2, rel=0.1), "fewer steps take less, at the same pace"
    assert not plan.plan(asked, device="mps").estimate.measured, "another device"


def test_the_core_is_measured_once(monkeypatch):
    first = measured.core_gflops()
    assert 0.5 < first < 2000
    monkeypatch.setattr(time, "thread_time", lambda: pytest.fail("measured again"))
    assert measured.core_gflops() == first
    measured.keep(run(1))
    assert measured.core_gflops() == first, "runs do not replace it"


PLANNING = """
import sys, kinema
kinema.plan("a red ball", model="wan2.1-t2v-1.3b")
sys.exit("torch" in sys.modules)
"""


def test_planning_imports_no_torch():
    """Not even without measurements of the machine."""
    assert subprocess.run([sys.executable, "-c", PLANNING], env=os.environ, check=False).returncode == 0


def test_a_stopwatch_gives_each_stage_its_own_time(monkeypatch):
    """Stages begin with an event or end with progress; time in the callback and between chunks is not counted."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def works(seconds: float) -> None:
        now[0] += seconds

    def chunks():
        watch(Event("prepare")), works(1)
        watch(Event("encode")), works(2)
        watch(Event("sample")), works(3)
        watch(Progress("sample", 1, 2)), works(3)
        watch(Progress("sample", 2, 2)), works(0.5)
        watch(Event("decode")), works(4)
        yield 1
        watch(Progress("decode", 1, 2)), works(4)
        yield 2

    watch = Stopwatch(lambda event: works(100))
    for _ in watch.timed(chunks()):
        works(1000)
    assert watch.seconds == {"encode": 3.0, "sample": 6.5, "decode": 8.0}
    asked = Request(prompt="x", model=WAN.id, seed=1)
    cost = estimate.arithmetic(plan.plan(asked, device="cpu"), WAN, "cpu")
    watch.keep(cost, passes=2, start_s=None)
    (kept,) = measured.read().runs
    assert kept.stages["sample"] == (6.5, pytest.approx(cost.sample_s / 2, rel=1e-3)), "one of two windows"


def test_a_run_teaches_the_next_estimate(mini):
    """A real model: the second estimate equals the duration of the first run."""
    asked = Request(prompt="a red ball", seed=1, frames=5, steps=4, width=32, height=32)
    heard = []
    list(mini.stream(asked, on_event=heard.append))
    assert isinstance(heard[0], Planned) and {"encode", "sample", "decode"} <= {part.stage for part in heard[0].parts}
    (kept,) = measured.read().runs
    assert set(kept.stages) == {"encode", "sample", "decode"} and kept.model == MINI.id
    expected = mini.plan(asked).estimate
    assert expected.measured
    took = sum(seconds for seconds, _ in kept.stages.values())
    assert expected.seconds == pytest.approx(took, rel=0.05, abs=0.02)


@pytest.mark.parametrize("load, times", [(0.0, 1), (1.0, 1), (7.0, 2), (17.0, 3)])
def test_other_work_counts(load, times, monkeypatch):
    """Stored durations are those of an idle machine; displayed estimates include the present load."""
    asked = plan.plan(Request(prompt="x", model=WAN.id, seed=1), device="cpu")
    idle = sum(part.seconds for part in estimate.parts(asked, WAN, "cpu", start=True))
    monkeypatch.setattr(threads, "crowd", CROWD)
    monkeypatch.setattr(threads, "is_crowded", IS_CROWDED)
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0, 0))
    monkeypatch.setattr(threads, "_queued", lambda: None)  # a system that reports no more
    monkeypatch.setattr(threads, "cores", lambda: 2)
    assert threads.crowd() == times
    assert threads.alone(10.0, 4.0) == (4.0 if times > 1 else 10.0) and threads.alone(4.0, 8.0) == 4.0
    monkeypatch.setattr(estimate, "crowd", lambda: float(times))
    crowded = sum(part.seconds for part in estimate.parts(asked, WAN, "cpu", start=True))
    assert crowded == pytest.approx(times * idle)


def test_work_like_no_other_teaches_nothing(mini):
    asked = Request(prompt="a red ball", seed=1, frames=5, steps=4, width=32, height=32)
    states = []
    list(mini.stream(asked, keep=states.append, keep_every=2))
    before = measured.read()
    planned = mini.plan(asked)
    assert planned != states[0].plan or planned.estimate is None, "the estimate has changed meanwhile"
    list(mini.stream(planned, state=states[0]))
    stopped = mini.stream(asked)
    stopped.close()
    assert measured.read() == before


def test_runs_beside_other_work_speak_of_such():
    """Runs of both kinds are used for their own kind; without any, those of the other kind are converted, and those of
    another model are better than none."""
    idle, busy = run(2.0), run(5.0, busy=True, start_s=9.0)
    both = Measured((idle, busy, run(2.0, start_s=4.0)))
    asked = ("sample", "m", "cpu", "exact", 6)
    assert (factor(both, *asked), factor(both, *asked, True)) == (2.0, 5.0)
    assert (measured.start_s(both, "m", "cpu"), measured.start_s(both, "m", "cpu", True)) == (4.0, 9.0)
    assert factor(Measured((idle,)), *asked, True) == pytest.approx(2.0 * measured.CROWDED_FACTOR)
    assert factor(Measured((busy,)), *asked) == pytest.approx(5.0 / measured.CROWDED_FACTOR)
    assert factor(Measured((idle,)), "sample", "another", "cpu", "exact", 9) == 2.0
    assert factor(Measured((run(7.0, profile=""),)), "sample", "another", "cpu", "exact", 9) is None, "no model's work"
    assert factor(Measured((idle,)), "sample", "music", "cpu", "", 9) is None
