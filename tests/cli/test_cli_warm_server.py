"""Commands on a real `kinema serve`: the file has the bytes of a run without it, whatever happens to the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_tools import answer, process, run

from kinema.cli import connect
from kinema.core import threads

START_S = 150.0


def serve(home: Path, model: str) -> subprocess.Popen[str]:
    """A server with a worker of one thread that has loaded the model."""
    os.environ |= {"KINEMA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    home.mkdir(exist_ok=True)
    return process("-m", "kinema", "serve", "--port", "0", "--device", "cpu", "--warm", model, cwd=home)


def until(found: Callable[[], Any], limit_s: float = START_S) -> Any:
    end = time.monotonic() + limit_s
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.2)  # each question costs processor time that the server could use
    return value


def ready() -> bool:
    """Whether the server has a worker; before that, commands run without it."""
    found = connect.on_this_machine()
    return found is not None and found.server.is_ready()


def jobs() -> list[dict[str, Any]]:
    result = run("jobs", "--json")
    return answer(result)["jobs"] if result.exit_code == 0 else []


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, model: str) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A server: its home and its process."""
    home = tmp_path_factory.mktemp("warm") / "home"
    before = dict(os.environ)
    child = serve(home, model)
    os.environ.clear()
    os.environ |= before
    yield home, child
    child.terminate()
    child.communicate(timeout=30)


@pytest.fixture(autouse=True)
def at_home(warm: tuple[Path, Any], own_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINEMA_HOME", str(warm[0]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(threads, "_decided", 1)
    until(ready)


def same(arguments: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a command with the server and without it; return what both printed."""
    count = len(jobs())
    there = run(*arguments, "-o", "there.mp4", "--json")
    assert there.exit_code == 0, there.output
    assert len(jobs()) == count + 1 and jobs()[0]["state"] == "succeeded"
    here = run(*arguments, "-o", "here.mp4", "--json", "--server", "off")
    assert here.exit_code == 0, here.output
    for name in ("there.mp4", "there.mp4.json"):
        assert Path(name).read_bytes() == Path(name.replace("there", "here")).read_bytes()
    return answer(there), answer(here)


def test_the_file_has_the_same_bytes(picture: Any) -> None:
    """Manifest and sidecar included; the picture keeps the name that was typed."""
    name = picture("my first.png", (64, 64))
    typed = ["generate", "a red ball", "--image", name, "--frames", "5", "--profile", "fast", "--seed", "7"]
    there, here = same(typed)
    assert list(there) == list(here)
    for found in (there, here):
        for varying in ("path", "seconds"):
            del found[varying]
        del found["plan"]["estimate"]
    assert there == here
    assert json.loads(Path("there.mp4.json").read_text())["plan"]["conditions"][0]["image"] == name


def test_ctrl_c_cancels_the_job(tmp_path: Path) -> None:
    typed = ["generate", "a red ball", "--profile", "exact", "--steps", "900", "--seed", "1", "-o", "a.mp4"]
    child = process("-m", "kinema", *typed, cwd=tmp_path)
    until(lambda: jobs() and jobs()[0]["state"] == "running" and jobs()[0]["progress"])
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=30)
    assert child.returncode == 130, stderr
    assert "has canceled the job" in stderr and "No incomplete file" in stderr
    assert until(lambda: jobs()[0]["state"] == "canceled") and not list(tmp_path.glob("*.mp4*"))


@pytest.mark.slow
def test_a_killed_server_is_followed_again(tmp_path: Path, warm: tuple[Path, Any], model: str) -> None:
    """kill -9 of the server in the middle of a job, then another one: the command ends with the same file."""
    typed = ["generate", "a red ball", "--profile", "exact", "--steps", "100", "--seed", "1"]
    child = process("-m", "kinema", *typed, "-o", "there.mp4", cwd=tmp_path)
    until(lambda: jobs() and jobs()[0]["state"] == "running" and jobs()[0]["progress"])
    warm[1].kill()
    warm[1].wait()  # until then its process counts as alive
    second = serve(warm[0], model)
    try:
        _, stderr = child.communicate(timeout=240)
    finally:
        second.terminate()
        second.communicate(timeout=30)
    assert child.returncode == 0 and "stopped answering" in stderr, stderr
    assert "generates the clip itself" not in stderr
    assert run(*typed, "-o", "here.mp4", "--server", "off").exit_code == 0
    assert Path("there.mp4").read_bytes() == Path("here.mp4").read_bytes()
