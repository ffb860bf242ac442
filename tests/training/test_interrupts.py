"""Ctrl-C and SIGTERM in a training: the step is finished, a checkpoint is written, and the run resumes exactly."""

from __future__ import annotations

import signal
import threading

import pytest
import torch
from test_loop import Line, settings

from kinema.training.core.checkpoints import read
from kinema.training.core.interrupts import Interrupts
from kinema.training.core.loop import train


class Interrupted(Line):
    """A signal arrives in the middle of a step, or of an evaluation."""

    number, at, when = signal.SIGINT, 7, "step"

    def loss(self, step, progress, generator):
        found = super().loss(step, progress, generator)
        if (self.when, step) == ("step", self.at):
            signal.raise_signal(self.number)
        return found

    def evaluate(self, step):
        if (self.when, step) == ("evaluation", self.at):
            signal.raise_signal(self.number)
        return super().evaluate(step)


class Terminated(BaseException):
    pass


def terminate(number, frame):
    raise Terminated


@pytest.mark.parametrize(
    ("when", "number", "steps"),
    [("step", signal.SIGINT, 8), ("evaluation", signal.SIGINT, 7), ("step", signal.SIGTERM, 8)],
)
def test_an_interrupted_run_resumes_with_the_identical_next_step(tmp_path, when, number, steps):
    whole = Line()
    train(whole, settings(tmp_path / "whole"))
    task = Interrupted()
    task.when, task.number = when, number
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else Terminated):
            train(task, settings(tmp_path / "half", evaluate_minutes=0.0 if when == "evaluation" else 5.0))
        assert (
            signal.getsignal(signal.SIGTERM) is terminate and signal.getsignal(signal.SIGINT) is handlers[signal.SIGINT]
        )
    finally:
        signal.signal(signal.SIGTERM, handlers[signal.SIGTERM])
    assert read(tmp_path / "half" / "checkpoint.pt")["step"] == steps
    again = Line()
    train(again, settings(tmp_path / "half", resume=True))
    for a, b in zip(whole.net.parameters(), again.net.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_second_one_acts_at_once():
    with pytest.raises(KeyboardInterrupt), Interrupts() as held:
        signal.raise_signal(signal.SIGINT)
        assert held.asked == signal.SIGINT
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second one is not held")


def test_nothing_is_held_elsewhere():
    found = []
    before = signal.getsignal(signal.SIGINT)

    def work():
        with Interrupts() as held:
            found.append((held.active, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with Interrupts(active=False):
        found.append((False, signal.getsignal(signal.SIGINT)))
    assert found == [(False, before)] * 2
