"""`kinema submit` and `kinema jobs` against a server (a fake, fake_server.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_tools import answer, run
from fake_server import FakeServer, serving

CLIP = ("generate", "a red ball", "--frames", "5", "--size", "64x64")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with serving(FakeServer(b"a clip", {"plan": {}})) as found:
        found.announce(tmp_path / "home")
        yield found


def test_submit_prints_the_id(server: FakeServer, picture: Any) -> None:
    server.runs = False
    result = run("submit", "--priority", "3", "--name", "ball", *CLIP, "--seed", "7", "-o", "x.gif")
    assert (result.exit_code, result.stdout) == (0, "job1\n"), result.output
    sent = server.bodies[0]
    assert (sent["kind"], sent["priority"], sent["name"]) == ("clip", 3, "ball")
    assert sent["body"]["seed"] == 7 and sent["body"]["file"] == "clip.gif"
    assert run("submit", "animate", picture(), "--seed", "1").stdout == "job2\n"
    assert list(server.bodies[1]["body"]["shown_as"].values()) == ["first.png"]
    assert sorted(path.name for path in Path().iterdir()) == ["first.png", "home"]


def test_the_same_key_is_the_same_job(server: FakeServer) -> None:
    ids = [run("submit", "--key", "mine", *CLIP, "--seed", "7").stdout for _ in range(2)]
    assert ids == ["job1\n", "job1\n"] and len(server.jobs) == 1
    assert "seed" in server.bodies[0]["body"], "so that every attempt makes the same clip"


@pytest.mark.parametrize(("key", "ended"), [((), ["canceled"]), (("--key", "mine"), ["queued"])])
def test_an_interrupted_submission_leaves_no_job(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, key: tuple[str, ...], ended: list[str]
) -> None:
    """With a key of the user's, the job stays for the same command again."""
    from kinema.http.jobs_client import JobsServer

    server.runs, submit = False, JobsServer.submit

    def interrupted(self: JobsServer, *arguments: Any, limit_s: float | None = None, **more: Any) -> Any:
        found = submit(self, *arguments, limit_s=limit_s, **more)
        if limit_s is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(JobsServer, "submit", interrupted)
    result = run("submit", *key, *CLIP, "--seed", "7")
    assert result.exit_code == 130, result.output
    assert [job["state"] for job in server.jobs.values()] == ended
    assert ("has canceled the job job1" in result.stderr) == (ended == ["canceled"])


def test_doctor_names_the_server(server: FakeServer) -> None:
    assert answer(run("doctor", "--json"))["server"] == {
        "url": server.url, "version": server.version, "ready": True
    }  # fmt: skip
    assert f"{server.url}, version {server.version}, ready" in run("doctor").stdout


@pytest.mark.parametrize(
    ("typed", "field"),
    [((*CLIP, "--sheet", "s.png"), "sheet"), ((*CLIP, "--device", "cpu"), "device"), ((*CLIP, "--seeds", "1-3"), ""),
     ((*CLIP, "-o", "frames/"), "output"), (("generate", "x", "--image", "none.png"), ""),
     (("upscale", "clip.mp4", "--by", "lanczos"), "")],
)  # fmt: skip
def test_what_cannot_be_submitted_is_refused(
    server: FakeServer, made: tuple[Path, Any], typed: tuple[str, ...], field: str
) -> None:
    if typed[0] == "upscale":
        Path("clip.mp4").write_bytes(made[0].read_bytes())
    result = run("submit", *typed, "--json")
    assert result.exit_code == 2 and server.jobs == {}, result.output
    assert not field or answer(result)["field"] == field


def test_no_server_is_an_error_of_this_machine(tmp_path: Path) -> None:
    for typed in (("jobs",), ("jobs", "show", "x"), ("submit", *CLIP)):
        result = run(*typed)
        assert result.exit_code == 1 and "kinema serve" in result.stderr


def test_jobs_lists_and_shows(server: FakeServer) -> None:
    assert run("jobs").stdout == "No jobs.\n"
    run("submit", "--name", "ball", *CLIP)
    server.runs = False
    run("submit", *CLIP)
    lines = run("jobs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["job2", "job1"]
    assert "queued, 1." in lines[0] and "succeeded" in lines[1] and "ball: a red ball" in lines[1]
    assert [job["id"] for job in answer(run("jobs", "--json", "--state", "succeeded"))["jobs"]] == ["job1"]
    assert answer(run("jobs", "list", "--json"))["jobs"][0]["id"] == "job2"
    assert answer(run("jobs", "show", "job1", "--json")) == server.jobs["job1"]
    assert "priority" not in (text := run("jobs", "show", "job1").stdout) and "state       succeeded" in text
    assert run("jobs", "show", "job9").exit_code == 1
    server.jobs["job1"]["body"]["prompt"] = ""
    assert "prompt" not in run("jobs", "show", "job1").stdout, "a job without one, as a removal"
    refused = run("jobs", "--limit", "3", "show", "job1")
    assert refused.exit_code == 2 and "after the verb" in refused.stderr


def test_jobs_changes(server: FakeServer) -> None:
    server.runs = False
    for _ in range(2):
        run("submit", *CLIP)
    assert answer(run("jobs", "pause", "job1", "job2", "--json"))["jobs"][1]["paused"]
    assert "paused" in run("jobs").stdout
    assert not answer(run("jobs", "resume", "job1", "--json"))["jobs"][0]["paused"]
    assert answer(run("jobs", "reorder", "job2", "--before", "job1", "--json"))["moved"] == {"before": "job1"}
    assert answer(run("jobs", "reorder", "job2", "--first", "--json"))["moved"] == {"to": "front"}
    for more in ((), ("--first", "--last")):
        assert run("jobs", "reorder", "job2", *more).exit_code == 2
    result = run("jobs", "cancel", "job1", "job9")
    assert result.exit_code == 1 and server.jobs["job1"]["state"] == "canceled" and "job1" in result.stderr
    assert answer(run("jobs", "retry", "job1", "--json"))["jobs"][0]["state"] == "queued"
    assert run("jobs", "delete", "job1", "job2").exit_code == 0 and server.jobs == {}


def test_jobs_waits_and_gets(server: FakeServer) -> None:
    run("submit", *CLIP, "-o", "red ball.mp4")
    assert "succeeded" in run("jobs", "wait", "job1").stdout
    result = run("jobs", "get", "job1")
    assert result.stdout == "red ball.mp4\n", result.output
    assert Path("red ball.mp4").read_bytes() == b"a clip"
    assert json.loads(Path("red ball.mp4.json").read_text()) == {"plan": {}}
    assert run("jobs", "get", "job1").stdout == "red ball-2.mp4\n"
    assert run("jobs", "get", "job1", "-o", "x.gif").exit_code == 2
    server.ends = {"state": "failed", "reason": "The disk is full."}
    run("submit", *CLIP)
    waited = run("jobs", "wait", "job2")
    assert waited.exit_code == 1 and "disk is full" in waited.stderr
    got = run("jobs", "get", "job2")
    assert got.exit_code == 1 and "no clip" in got.stderr


def test_a_file_that_the_server_changed_is_not_kept(server: FakeServer) -> None:
    run("submit", *CLIP)
    server.result = b"a clap"
    refused = run("jobs", "get", "job1", "-o", "a.mp4")
    assert refused.exit_code == 1 and "another file" in refused.stderr
    server.result = b"a clip and more"
    assert "more than the 6 bytes" in run("jobs", "get", "job1", "-o", "a.mp4").stderr
    assert [path.name for path in Path().iterdir()] == ["home"]


def test_a_token_comes_from_a_variable(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.token = "a secret of the server"
    monkeypatch.setenv("MY_TOKEN", server.token)
    assert run("jobs", "--server", server.url).exit_code == 1
    assert run("jobs", "--server", server.url, "--token-env", "MY_TOKEN").exit_code == 0
    assert run("submit", "--server", server.url, "--token-env", "MY_TOKEN", *CLIP).stdout == "job1\n"
    assert run("jobs", "--server", server.url, "--token-env", "OTHER").exit_code == 2
