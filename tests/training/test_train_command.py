"""The output of `kinema train`: progress is reported throughout, in lines, on a terminal and in Python, and the command
ends on time. Uses a small recipe with a network of nine numbers."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kinema
from kinema.cli.main import app
from kinema.core.events import Planned, Progress
from kinema.core.overall import Overall
from kinema.training.core import processes, stages
from kinema.training.core.settings import Settings

SOURCE = str(Path(kinema.__file__).parents[1])
RECIPE = """
import time

import torch

from kinema.training.core.loop import LoopConfig, train
from kinema.training.core.stages import Stage


class Task:
    names_for_adam = ("",)

    def __init__(self):
        self.net = torch.nn.Linear(3, 3)
        self.modules = {"net": self.net}

    def loss(self, step, progress, generator):
        time.sleep(0.01)
        return self.net(torch.randn(4, 3, generator=generator)).square().mean(), {}

    def evaluate(self, step):
        time.sleep(0.5)
        return {"error": 0.25, "shuffled_percent": 8.5}


def stages(settings):
    torch.set_num_threads(1)

    def learn(name):
        config = {"out": settings.out / name, "budget": settings.budget, "resume": settings.resume}
        return lambda minutes: train(Task(), LoopConfig(minutes=minutes, **config), settings.show)

    def write(minutes):
        (settings.out / "model.txt").write_text("done")
        return {"file": str(settings.out / "model.txt")}

    return [Stage("one", 0.4, learn("one")), Stage("two", 0.6, learn("two")), Stage("export", 0.0, write)]
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    place = tmp_path / "recipe.py"
    place.write_text(RECIPE, encoding="utf-8")
    return place


def command(*more: str) -> list[str]:
    return [sys.executable, "-c", "from kinema.cli.main import main; main()", "train", *more]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": SOURCE, **more}


def loop_seconds(out: Path, name: str) -> float:
    events = [json.loads(line) for line in (out / name / "events.jsonl").read_text().splitlines()]
    return events[-1]["seconds"]


@pytest.mark.slow
def test_on_a_dumb_terminal_plain_lines_to_the_end(recipe, tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["train", str(recipe), "--minutes", "0.1", "--out", str(out)])
    assert done.exit_code == 0, done.output
    said = done.stderr.splitlines()
    told = [line for line in done.stdout.splitlines() if " minutes" not in line]  # notes of a busy machine
    assert said[0] == "starting" and "\r" not in done.output and "\x1b" not in done.output
    for phase in ("one: preparing", "one: training", "one: evaluating", "two: training", "two: evaluating"):
        assert any(phase in line and re.search(r"\(stage [12] of 3\)", line) for line in said), (phase, said)
    assert [line.split(":")[0] for line in told] == ["one", "two", "export", f"Done in {told[-1].split()[2]} s"]
    assert re.fullmatch(r"one: done, \d+ steps? in \d+ s; error 0.25, error with its frames shuffled \+8.5 %", told[0])
    assert told[-1].endswith(str(out)) and "finished" not in done.output


def test_beside_json_nothing_but_json(recipe, tmp_path):
    """Also with several processes, which all take the same number of steps."""
    out = tmp_path / "out"
    given = [str(recipe), "--minutes", "0.1", "--processes", "2", "--json", "--out", str(out)]
    done = subprocess.run(command(*given), capture_output=True, text=True, timeout=900, env=environment())
    assert done.returncode == 0 and done.stderr == "", done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["stage"] for each in events if each["event"] == "stage_done"] == ["one", "two", "export"]
    assert events[-1]["event"] == "done" and (out / "model.txt").is_file()


def test_on_a_terminal_one_line_that_is_never_silent(recipe, tmp_path):
    """The longest time without output is a second, on an idle machine."""
    first, second = pty.openpty()
    given = command(str(recipe), "--minutes", "0.12", "--out", str(tmp_path / "out"))
    with subprocess.Popen(
        given, stdout=second, stderr=second, stdin=second, env=environment(TERM="xterm", COLUMNS="80"), close_fds=True
    ) as child:
        os.close(second)
        seen, at, quiet_s, began = b"", 0.0, 0.0, time.monotonic()
        while time.monotonic() - began < 600:
            if not select.select([first], [], [], 5)[0] and child.poll() is not None:
                break
            try:
                part = os.read(first, 65536)
            except OSError:
                break
            if at:
                quiet_s = max(quiet_s, time.monotonic() - at)
            at, seen = time.monotonic(), seen + part
    os.close(first)
    shown = seen.decode()
    assert child.returncode == 0, shown
    assert re.search(r"\r\[#*-*\] +\d+ %  \w+: (training|evaluating)( \d+/\d+ steps)? \(stage \d of 3\)", shown), shown
    assert "\rstarting" in shown
    lines = [line.strip() for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[\d*m", "", shown)) if line.strip()]
    assert [line for line in lines[-2:] if line.startswith("Done in")], lines[-5:]  # a long name has its own line
    assert quiet_s < max(3.0, 0.5 * (time.monotonic() - began)), quiet_s


def test_in_python_it_is_told_and_ends_in_time(recipe, tmp_path):
    overall, told = Overall(), []

    def listen(event):
        overall(event)
        if not isinstance(event, Planned):
            told.append((event, overall.now()))

    settings = Settings(out=tmp_path / "out", minutes=0.08, on_event=listen, progress=False)
    found = stages.load_recipe(recipe)(settings)
    began = time.monotonic()
    stages.run(found, settings)
    took = time.monotonic() - began
    assert 3.5 < took < 7.5, "4.8 seconds, with an evaluation of half a second that has no estimate"
    assert {event.doing for event, _ in told} == {"preparing", "training", "evaluating"}
    learning = [now for event, now in told if isinstance(event, Progress) and event.doing == "training" and event.total]
    assert learning and all(now.stages == 3 and now.left_s is not None for now in learning)


def test_a_killed_run_goes_on_with_what_is_left(recipe, tmp_path):
    """Of 4.8 seconds the first stage uses its share; the second is killed halfway. The resumed run has the rest."""
    out = tmp_path / "out"

    class Enough(Exception):
        pass

    def stop(event):
        if event.stage == "two" and event.doing == "training" and isinstance(event, Progress) and event.done > 40:
            raise Enough

    found = stages.load_recipe(recipe)
    settings = Settings(out=out, minutes=0.08, on_event=stop)
    with pytest.raises(Enough):
        stages.run(found(settings), settings)
    began = time.monotonic()
    again = Settings(out=out, minutes=0.08, resume=True)
    done = stages.run(found(again), again)
    took = time.monotonic() - began
    assert took < 4.8 - 60 * done["one"]["minutes"] + 1.5 and set(done) == {"one", "two", "export"}


def test_torch_is_read_by_those_that_need_it():
    code = "import sys, kinema.training.core.stages, kinema.training.recipes.lora; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.strip() == "False" and processes.count() == 1
