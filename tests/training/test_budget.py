"""Commands keep to their minutes, whatever the stages take: with a fake clock, and in the loop."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from kinema.core.display import words
from kinema.core.events import Planned, Progress, ignore
from kinema.core.overall import Overall
from kinema.training.core import run_history, stages
from kinema.training.core.budget import Budget, FixedCost, Share, fixed_costs_text
from kinema.training.core.loop import LoopConfig, train
from kinema.training.core.settings import Settings, Stage


class Time:
    """A clock that advances on request."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def pass_(self, seconds: float) -> None:
        self.now_s += seconds


class Work:
    """A task whose steps and evaluations take fixed times."""

    names_for_adam = ("",)

    def __init__(self, clock: Time, step_s: float, evaluation_s: float) -> None:
        self.clock, self.step_s, self.evaluation_s = clock, step_s, evaluation_s
        self.net = nn.Linear(2, 2)
        self.modules = {"net": self.net}
        self.rates: list[float] = []
        self.progress: list[float] = []

    def loss(self, step: int, progress: float, generator: torch.Generator):
        self.clock.pass_(self.step_s)
        self.progress.append(progress)
        return self.net(torch.ones(2)).square().mean(), {}

    def evaluate(self, step: int):
        self.clock.pass_(self.evaluation_s)
        return {}


def run(tmp_path, minutes: float, parts: list[tuple], clock: Time, began_s: float | None = None, on_event=ignore):
    """Stages (name, share, before_s, step_s, evaluation_s, after_s, takes); a step of None: no loop. Returns the tasks
    and what was shown."""
    budget = Budget(clock=clock, began_s=began_s)
    shown: list[dict] = []
    settings = Settings(
        out=tmp_path, minutes=minutes, show=shown.append, on_event=on_event, budget=budget, recipe="test"
    )  # fmt: skip
    tasks = {}

    def stage(name, share, before_s, step_s, evaluation_s, after_s, takes):
        def work(minutes):
            clock.pass_(before_s)
            if step_s is not None:
                tasks[name] = Work(clock, step_s, evaluation_s)
                config = LoopConfig(out=tmp_path / name, minutes=minutes, budget=budget, log_every=1)
                train(tasks[name], config)
            clock.pass_(after_s)

        return Stage(name, share, work, fixed_cost=takes)

    stages.run([stage(*part) for part in parts], settings)
    return tasks, shown


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))


PARTS = [
    ("clips", 0.1, 4.0, None, 0.0, 0.0, FixedCost(4.0)),
    ("vae", 0.4, 2.0, 0.5, 6.0, 10.0, FixedCost(2.0, 16.0)),
    ("video", 0.5, 5.0, 0.8, 9.0, 0.0, FixedCost(5.0, 9.0)),
    ("export", 0.0, 8.0, None, 0.0, 0.0, FixedCost(8.0)),
]


def test_a_command_ends_in_time_with_all_it_cannot_do_without(tmp_path):
    clock = Time()
    began = clock()
    clock.pass_(12.0)  # loading
    run(tmp_path, 2.0, PARTS, clock, began_s=began)
    assert 112 <= clock() - began <= 121


def test_the_first_run_teaches_the_next(tmp_path):
    """The first run has no estimates; the second run of its kind has."""
    unknown = [(*part[:-1], FixedCost()) for part in PARTS]
    took = []
    for name in ("first", "second"):
        clock = Time()
        began = clock()
        run(tmp_path / name, 2.0, unknown, clock, began_s=began)
        took.append(clock() - began)
    assert took[0] > 121 and 112 <= took[1] <= 121


def test_a_busy_machine_is_noticed(tmp_path):
    """Everything takes twice the estimate; the first stages show it, and the later ones get less time for training."""
    slow = [
        (name, share, *(None if s is None else 2 * s for s in times), takes) for name, share, *times, takes in PARTS
    ]
    clock = Time()
    began = clock()
    run(tmp_path, 3.0, slow, clock, began_s=began)
    assert 165 <= clock() - began <= 185


def test_the_learning_rate_comes_down_to_its_end(tmp_path):
    """Also if an evaluation takes ten times the estimate."""
    clock = Time()
    budget = Budget(clock=clock)
    budget.begin([Share("learn", 1.0, FixedCost(0.0, 3.0))], 2.0)
    budget.enter(120.0)
    task = Work(clock, 1.0, 30.0)
    real = LoopConfig(out=tmp_path, minutes=2.0, budget=budget, log_every=1, evaluate_minutes=1e-9)
    train(task, real)
    rates = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    steps = [each for each in rates if each["event"] == "step"]
    assert sum(each["event"] == "evaluated" for each in rates) >= 1
    assert task.progress == sorted(task.progress) and task.progress[-1] > 0.95
    assert steps[-1]["lr"] < 0.08 and clock() - 1000 <= 121


def test_a_resumed_run_has_what_is_left(tmp_path):
    """Of ten minutes, finished stages used four and the loop of the killed one three."""
    clock = Time()
    budget = Budget(clock=clock)
    budget.begin([Share("video", 0.8), Share("export", 0.0, FixedCost(10.0))], 10.0, spent_s=240.0)
    budget.enter(budget.allotted_s(budget.stages[0]))
    assert budget.running is not None and budget.running.end_s == pytest.approx(1000 + 350)
    budget.resumed(180.0)
    budget.begin_loop()
    assert budget.loop_end_s(1e9) == pytest.approx(1000 + 170 - 17) and budget.left_s == pytest.approx(180)


def test_without_time_a_step_is_taken_all_the_same(tmp_path):
    clock = Time()
    tasks, shown = run(tmp_path, 0.01, PARTS, clock)
    assert len(tasks["vae"].progress) == len(tasks["video"].progress) == 1
    assert "is too short" in shown[0][""] and "late, with" in shown[0][""]


def test_fixed_costs_text():
    shares = [Share("vae", 0.5, FixedCost(2.0, 16.0)), Share("export", 0.0, FixedCost(8.0))]
    said = fixed_costs_text(shares, 2.0, 110.0)
    assert said == (
        "2 minutes in all: preparation, evaluation and writing need about 26 s "
        "(vae 18 s, export 8 s), which leaves about 84 s for training."
    )
    assert fixed_costs_text([Share("vae", 1.0)], 2.0, 110.0) == ""
    assert "loading used all of it" in fixed_costs_text([Share("vae", 1.0)], 2.0, 0.0)


def test_what_is_shown_and_how_long_it_takes(tmp_path):
    """Every phase is said, what is said goes on to the end, and the seconds left are those that come, within a
    factor of 1.5."""
    clock = Time()
    overall, seen = Overall(clock), []

    def listen(event):
        overall(event)
        if not isinstance(event, Planned):
            seen.append((clock(), overall.now(), event))

    run(tmp_path, 2.0, PARTS, clock, on_event=listen)
    end_s = clock()
    said = [words(now) for _, now, _ in seen]
    assert said[0].startswith("clips: preparing (stage 1 of 4), ")
    assert any(text.startswith("video: training 2") and "steps (stage 3 of 4), " in text for text in said)
    assert any(text.startswith("vae: evaluating (stage 2 of 4)") for text in said)
    fractions = [now.fraction for _, now, _ in seen]
    assert fractions == sorted(fractions) and {"clips", "vae", "video", "export"} == {now.stage for _, now, _ in seen}
    for when_s, now, event in seen:
        if isinstance(event, Progress) and end_s - when_s > 10:
            assert (end_s - when_s) / 1.5 < now.left_s < 1.5 * (end_s - when_s), words(now)


def test_others_are_remembered_apart(tmp_path):
    one = run_history.RunKind.of("wan", "cuda:1", 1, 2.0, {"edition": "small"})
    run_history.add(one, {"vae": FixedCost(1.0, 20.0)})
    assert one.device == "cuda" and run_history.estimates(one) == {"vae": FixedCost(1.0, 20.0)}
    other_options = run_history.RunKind.of("wan", "cuda", 1, 2.2, {})
    assert run_history.estimates(other_options) == {"vae": FixedCost(1.0, 20.0)}, (
        "runs that differ only in their options"
    )
    assert run_history.estimates(run_history.RunKind.of("wan", "cuda", 1, 25.0, {"edition": "small"})) == {}
    assert run_history.estimates(run_history.RunKind.of("wan", "cuda", 2, 2.0, {"edition": "small"})) == {}
    nameless = run_history.RunKind.of("", "cpu", 1, 2.0, {})
    run_history.add(nameless, {"vae": FixedCost(1.0)})
    assert run_history.estimates(nameless) == {}
