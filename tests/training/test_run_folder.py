"""One run per folder: a second process is refused, a run resumes with its own settings, nothing is overwritten."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.core.errors import KinemaError, RequestError
from kinema.training.core import run_folder, stages
from kinema.training.core.stages import Settings, Stage


def hold(out: Path, held) -> None:
    with run_folder.locked(out):
        held.set()
        time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of OUT."""
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=hold, args=(tmp_path / "out", held))
    process.start()
    assert held.wait(30)
    yield process
    process.kill()
    process.join()


def test_a_second_training_into_a_folder_is_refused_until_the_first_has_ended(tmp_path, holder):
    ran: list[float] = []
    plan = [Stage("a", 1, ran.append)]
    with pytest.raises(
        run_folder.RunBusy, match=f"process {holder.pid} on {re.escape(socket.gethostname())} is training"
    ):
        stages.run(plan, Settings(tmp_path / "out"))
    assert not ran
    holder.kill()
    holder.join()
    assert str(holder.pid) in (tmp_path / "out" / ".lock").read_text(), "the killed process left its id in the file"
    stages.run(plan, Settings(tmp_path / "out"))
    assert len(ran) == 1 and (tmp_path / "out" / ".lock").read_text() == ""


def test_the_lock_of_another_machine_is_not_ours_to_break(tmp_path):
    (tmp_path / ".lock").write_text(json.dumps({"pid": os.getpid(), "host": "elsewhere"}))
    with (
        pytest.raises(run_folder.RunBusy, match=r"on elsewhere is training.*delete .*\.lock"),
        run_folder.locked(tmp_path),
    ):
        pass
    (tmp_path / ".lock").write_text("[" * 3000)
    with run_folder.locked(tmp_path):
        pass


def plan(ran: list[str], fails: str = "") -> list[Stage]:
    def work(name: str):
        def run(minutes: float) -> dict[str, str]:
            if name == fails:
                raise KeyboardInterrupt
            ran.append(name)
            return {"by": name}

        return run

    return [
        Stage("data", 0, work("data")), Stage("train", 1, work("train"), may_change=("minutes", "steps")),
        Stage("export", 0, work("export"), may_change=("dialect",)),
    ]  # fmt: skip


def went(settings: Settings, **asked) -> tuple[list[str], list[str]]:
    """(stages that ran, notes), with settings as the command makes them."""
    ran: list[str] = []
    noted: list[str] = []
    given, minutes = asked.pop("options", {}), asked.get("minutes")
    wanted = replace(settings, resume=True, options=given, show=lambda event: noted.append(event.get("", "")), **asked)
    wanted = run_folder.resumed_settings(wanted, only=False, minutes=minutes)
    stages.run(plan(ran), wanted)
    return ran, [words for words in noted if words]


def test_a_run_goes_on_with_its_own_settings(tmp_path):
    own = {"rank": "4", "steps": "10", "data": str(tmp_path)}
    first = Settings(tmp_path / "out", minutes=5, options=own, recipe="lora")
    stages.run(plan([]), first)
    told = (tmp_path / "out" / "stages.json").read_bytes()

    ran, noted = went(first)
    assert ran == [] and "all stages of this run are done" in noted[0], "the note is shown"
    assert went(first, options={"rank": "4.0", "data": f"{tmp_path}/"})[0] == []
    for wrong, words in (
        ({"options": {"rank": "16"}}, "rank changed from 4 to 16"),
        ({"options": {"steps": "20", "trigger": "x"}}, "trigger changed from not set to x"),
        ({"recipe": "mini_wan"}, "recipe changed from lora to mini_wan"),
    ):
        with pytest.raises(RequestError, match=words) as refused:
            went(first, **wrong)
        assert "dialect, minutes, steps may change" in str(refused.value)
    assert (tmp_path / "out" / "stages.json").read_bytes() == told

    assert went(first, options={"dialect": "kohya"})[0] == ["export"]
    assert went(first, options={"steps": "20"})[0] == ["train", "export"]
    assert went(first, minutes=4.0)[0] == [] and went(first, minutes=9.0)[0] == ["train", "export"]
    options = run_folder.read(tmp_path / "out").options
    assert options == {**own, "dialect": "kohya", "steps": "20"}


def test_what_was_stopped_while_it_went_on_is_not_done(tmp_path):
    first = Settings(tmp_path / "out", options={"steps": "10"})
    stages.run(plan([]), first)
    more = replace(first, resume=True, options={"steps": "20"})
    with pytest.raises(KeyboardInterrupt):
        stages.run(plan([], fails="train"), more)
    assert went(first)[0] == ["train", "export"]


def test_one_stage_again_has_the_runs_settings(tmp_path):
    stages.run(plan([]), Settings(tmp_path, minutes=5, options={"rank": "4"}))
    found = run_folder.resumed_settings(Settings(tmp_path), only=True, minutes=None)
    assert found.options == {"rank": "4"} and found.minutes == 25.0
    ran: list[str] = []
    stages.run(plan(ran), replace(found, minutes=1), only=["export"])
    assert ran == ["export"] and run_folder.read(tmp_path).minutes == 5


def test_a_run_over_another_is_refused_unless_asked_for(tmp_path):
    def over(out: Path, **changes) -> list[str]:
        ran: list[str] = []
        stages.run(plan(ran), Settings(out, **changes))
        return ran

    everything = ["data", "train", "export"]
    assert over(tmp_path / "a") == everything
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*")}
    with pytest.raises(RequestError, match=r"already holds a run \(done: data, train, export\).*--resume.*--replace"):
        over(tmp_path / "a")
    assert {path: path.read_bytes() for path in (tmp_path / "a").rglob("*")} == before
    assert over(tmp_path / "a", replace=True) == everything

    (tmp_path / "b" / "run").mkdir(parents=True)
    (tmp_path / "b" / "run" / "checkpoint.pt").write_bytes(b"")
    with pytest.raises(RequestError, match=r"with run.checkpoint\.pt"):
        over(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("mine")
    assert over(tmp_path / "c") == everything, "a folder with other files is not a run"


def test_a_failed_first_stage_blocks_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        stages.run(plan([], fails="data"), Settings(tmp_path))
    stages.run(plan([]), Settings(tmp_path, options={"rank": "16"}))


@pytest.mark.parametrize("text", ["{", "[]", '{"data": 5}', '{"settings": []}', "[" * 9000])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "stages.json").write_text(text)
    with pytest.raises(KinemaError, match=r"stages\.json"):
        stages.run(plan([]), Settings(tmp_path, resume=True))


def test_the_command(tmp_path):
    recipe = tmp_path / "tiny.py"
    recipe.write_text(
        "from kinema.training.core.stages import Stage\n"
        "def stages(settings):\n"
        "    show = lambda minutes: {'budget': settings.minutes, **settings.options}\n"
        "    return [Stage('one', 1, show, may_change=('minutes',))]\n"
    )

    def run(*more: str):
        return CliRunner().invoke(app, ["train", str(recipe), "--out", str(tmp_path / "out"), *more])

    assert "budget 3.0, rank 4" in run("--minutes", "3", "--set", "rank=4").output
    again = run()
    assert again.exit_code == 2 and "--replace" in again.output
    assert "all stages of this run are done" in run("--resume").output
    other = run("--resume", "--set", "rank=16")
    assert other.exit_code == 2 and "rank changed from 4 to 16" in " ".join(other.output.split())
    assert "budget 7.0, rank 4" in run("--resume", "--minutes", "7").output
    assert "budget 25.0" in run("--replace").output
    assert run("--replace", "--resume").exit_code == 2
    with run_folder.locked(tmp_path / "out"):
        busy = run("--resume")
    assert busy.exit_code == 1 and "is training in this folder" in " ".join(busy.output.split())
