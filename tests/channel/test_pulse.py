"""A hanging process is distinguished from one that waits for a core."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from kinema.channel.airing.pulse import LOOK_S, Pulse, PulseLimits


class Kernel:
    """A fake /proc entry of process 7 and its threads, and a watcher that checks it every LOOK_S."""

    def __init__(self, folder, limits=None, factor=1.0):
        self.folder = folder / "7"
        self.waited = {"7": 1.0, "8": 2.0}
        self.write("S")
        self.pulse = Pulse(7, limits or PulseLimits(), factor, proc=folder)
        self.now = time.monotonic()

    def write(self, state):
        for thread, seconds in self.waited.items():
            (self.folder / "task" / thread).mkdir(parents=True, exist_ok=True)
            (self.folder / "task" / thread / "schedstat").write_text(f"5 {round(seconds * 1e9)} 6\n")
        (self.folder / "stat").write_text(f"7 (a) T name) {state} 1 7 7\n")

    def until_trouble(self, seconds, starved=0.0):
        """(trouble, seconds until it); starved: the fraction of time that a thread waits for a core."""
        began = self.now
        while self.now - began < seconds:
            self.now += LOOK_S
            self.waited["8"] += starved * LOOK_S
            self.write("R")
            if found := self.pulse.trouble(self.now):
                return found, self.now - began
        return "", seconds


def test_one_that_could_run_and_does_not_is_hung_and_one_that_gets_no_core_is_not(tmp_path):
    hung, slow, late = (Kernel(tmp_path / name) for name in ("hung", "slow", "late"))
    for kernel in (hung, slow, late):
        kernel.pulse.beat(kernel.now)
    assert hung.until_trouble(9) == ("no heartbeat", pytest.approx(1.6, abs=0.25))
    assert slow.until_trouble(3.7, starved=0.9) == ("", 3.7)
    assert late.until_trouble(9, starved=0.9) == ("no heartbeat", pytest.approx(4.2, abs=0.25))
    again = Kernel(tmp_path / "again", factor=2.0)
    again.pulse.beat(again.now)
    assert again.until_trouble(9)[1] == pytest.approx(3.2, abs=0.25), "twice the timeout after an alarm"


def test_without_schedstat_and_before_the_first_beat_only_the_longest_limits_apply(tmp_path):
    kernel = Kernel(tmp_path / "a")
    kernel.waited = {"7": 0.0, "8": 0.0}
    kernel.pulse.beat(kernel.now)
    assert kernel.until_trouble(9)[1] == pytest.approx(4.2, abs=0.25)
    begun = Kernel(tmp_path / "b", PulseLimits(first_s=20))
    assert begun.until_trouble(60)[1] == pytest.approx(20.2, abs=0.25)


def test_time_in_which_the_watcher_did_not_run_does_not_count(tmp_path):
    kernel = Kernel(tmp_path)
    kernel.pulse.beat(kernel.now)
    kernel.now += 3600  # the machine was suspended
    assert kernel.pulse.trouble(kernel.now) == ""
    assert kernel.until_trouble(9)[1] == pytest.approx(1.5, abs=0.3)


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("stopped", marks=pytest.mark.slow),  # test_supervisor.py stops a playout by default
        "in a system call",
        pytest.param("in a loop", marks=pytest.mark.slow),
    ],
)
def test_a_real_process(how):
    """The process sends three heartbeats and then stops."""
    hang = {"stopped": "0", "in a system call": "time.sleep(99)", "in a loop": "exec('while 1: pass')"}[how]
    code = f"import time; [(print(flush=True), time.sleep(0.2)) for _ in range(3)]; print('end', flush=True); {hang}"
    code += "; time.sleep(99)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        pulse, began = Pulse(process.pid, PulseLimits()), time.monotonic()
        for line in process.stdout:
            pulse.beat(time.monotonic())
            assert pulse.trouble(time.monotonic()) == ""
            if b"end" in line:
                break
        if how == "stopped":
            os.kill(process.pid, signal.SIGSTOP)
        began = time.monotonic()
        while not (found := pulse.trouble(time.monotonic())):
            assert time.monotonic() - began < 30
            time.sleep(LOOK_S)
        took = time.monotonic() - began
    finally:
        process.kill()
        process.wait()
    assert found == ("process stopped" if how == "stopped" else "no heartbeat")
    assert took > (0.3 if how == "stopped" else 1.3)
