"""A command hands its clip to a warm server and behaves as without one; the server here is a fake (fake_server.py)."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_tools import answer, process, run
from fake_server import FakeServer, serving

from kinema.cli import followed

CLIP = ("generate", "a red ball", "--frames", "5", "--steps", "2", "--seed", "7", "--size", "32x32")
REQUEST = {"prompt": "a red ball", "frames": 5, "steps": 2, "seed": 7, "width": 32, "height": 32}


@pytest.fixture
def server(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[FakeServer]:
    """A server on this machine whose jobs end with the clip of `made`."""
    path, _ = made
    with serving(FakeServer(path.read_bytes(), json.loads(Path(f"{path}.json").read_text()))) as found:
        found.announce(tmp_path / "home")
        yield found


def submitted(server: FakeServer) -> list[dict[str, Any]]:
    return [each["body"] for each in server.bodies]


def test_the_server_makes_the_clip(server: FakeServer, made: tuple[Path, dict[str, Any]]) -> None:
    result = run(*CLIP, "-o", "there.mp4", "--json")
    assert result.exit_code == 0, result.output
    found, here = answer(result), made[1]
    assert submitted(server) == [{**REQUEST, "file": "clip.mp4"}]
    assert Path("there.mp4").read_bytes() == made[0].read_bytes()
    assert Path("there.mp4.json").read_bytes() == Path(f"{made[0]}.json").read_bytes()
    assert set(found) == set(here)
    varying = {"path", "sheet", "seconds", "plan"}
    assert {name: found[name] for name in set(found) - varying} == {name: here[name] for name in set(here) - varying}
    assert sorted(path.name for path in Path().iterdir()) == ["home", "there.mp4", "there.mp4.json"]
    assert answer(run("history", "--json"))["shown"][0]["path"] == str(Path("there.mp4").absolute())


def test_the_same_lines_are_printed(server: FakeServer) -> None:
    there = run("generate", "a red ball rolls left", "--frames", "5", "--steps", "2", "--seed", "7", "-o", "a.mp4")
    here = run("generate", "a red ball rolls left", "--frames", "5", "--steps", "2", "--seed", "7", "-o", "a.mp4",
               "--server", "off")  # fmt: skip
    assert len(server.jobs) == 1 and there.exit_code == here.exit_code == 0
    notes = [each for each in here.stderr.splitlines() if "drawn path" in each]
    assert notes and notes[0] in there.stderr
    assert "sampling" in there.stderr and "sampling" in here.stderr
    assert there.stdout.startswith("a.mp4  (") and here.stdout.startswith("a.mp4  (")


def test_inputs_go_by_hash_and_keep_their_names(server: FakeServer, picture: Any) -> None:
    name = picture("my first.png")
    sha = hashlib.sha256(Path(name).read_bytes()).hexdigest()
    result = run("generate", "a red ball", "--image", name, "--seed", "1", "--json")
    assert result.exit_code == 0, result.output
    (body,) = submitted(server)
    assert body["conditions"] == [{"kind": "image", "image": f"sha256:{sha}", "at": "first"}]
    assert body["shown_as"] == {f"sha256:{sha}": name}
    assert server.media[sha] == Path(name).read_bytes()
    run("generate", "a blue ball", "--image", name, "--seed", "1")
    assert [each for each in server.asked if each == ("POST", "/media")] == [("POST", "/media")], "uploaded once"


@pytest.mark.parametrize(
    "more",
    [("--preview", "p.gif"), ("--keep-state", "s.kinema"), ("--sheet", "s.png"), ("--dtype", "float32"),
     ("--device", "cuda"), ("-o", "frames/"), ("--image", "nothing.png"), ("--model", "my/model")],
)  # fmt: skip
def test_what_a_server_cannot_do_runs_here(server: FakeServer, more: tuple[str, ...]) -> None:
    """Without a word; refused with the reason if the server is named."""
    if more[0] == "--image":
        refused = run(*CLIP, *more, "--server", server.url)
        assert refused.exit_code == 2 and server.jobs == {}
        return
    if more[0] == "--model":
        Path("my/model").mkdir(parents=True)
    refused = run(*CLIP, *more, "--server", server.url, "--json")
    assert refused.exit_code == 2 and answer(refused)["field"] == "server", refused.output
    assert server.jobs == {} and ("POST", "/plan") not in server.asked


def test_another_version_and_a_server_without_worker_are_passed_over(server: FakeServer) -> None:
    server.ready = False
    assert run(*CLIP).exit_code == 0 and server.jobs == {}
    server.ready, server.version = True, "0.0.1"
    assert run(*CLIP).exit_code == 0 and server.jobs == {}
    refused = run(*CLIP, "--server", server.url)
    assert refused.exit_code == 2 and "0.0.1" in refused.stderr


def test_a_stale_note_of_a_server_is_passed_over(made: Any, tmp_path: Path) -> None:
    gone = FakeServer(b"")
    gone.port = 1
    gone.announce(tmp_path / "home")
    assert run(*CLIP, "-o", "a.mp4").exit_code == 0
    (tmp_path / "home" / "server" / "server.json").write_text("{")
    assert run(*CLIP, "-o", "b.mp4").exit_code == 0
    refused = run(*CLIP, "--server", gone.url)
    assert refused.exit_code == 1 and "cannot be reached" in refused.stderr
    assert run(*CLIP, "--server", "localhost").exit_code == 2


def test_an_address_that_another_server_took_over_gets_no_token(server: FakeServer, tmp_path: Path) -> None:
    server.token = "a secret of the server"
    server.announce(tmp_path / "home", pid=1)
    assert run(*CLIP, "-o", "a.mp4").exit_code == 0
    assert server.jobs == {} and set(server.heard) == {""}


def test_a_refusal_is_the_same_as_here(server: FakeServer) -> None:
    there, here = (run("generate", "x", "--frames", "4", "--json", *more) for more in ((), ("--server", "off")))
    assert there.exit_code == here.exit_code == 2 and answer(there) == answer(here)
    named = run("generate", "x", "--frames", "4", "--json", "--server", server.url)
    assert named.exit_code == 2 and answer(named)["field"] == answer(here)["field"]
    assert server.jobs == {}


def test_a_token_is_sent(server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.token = "a secret of the server"
    (tmp_path / "home" / "server" / "server.json").unlink()
    refused = run(*CLIP, "--server", server.url)
    assert refused.exit_code == 1 and "KINEMA_SERVER_TOKEN" in refused.stderr
    monkeypatch.setenv("KINEMA_SERVER_TOKEN", server.token)
    monkeypatch.setenv("KINEMA_SERVER", server.url)
    assert run(*CLIP).exit_code == 0 and len(server.jobs) == 1


@pytest.mark.parametrize(
    ("ends", "code", "kind"),
    [({"state": "failed", "reason": "The disk is full."}, 1, "KinemaError"),
     ({"state": "failed", "reason": "x", "error": {"error": "MediaError", "message": "y"}}, 1, "MediaError"),
     ({"state": "failed", "reason": "x", "error": {"error": "RequestError", "message": "y", "field": "f"}}, 2,
      "RequestError"),
     ({"state": "canceled", "reason": "It was canceled."}, 130, "Cancelled"),
     ({"state": "expired", "reason": "Too late."}, 1, "KinemaError")],
)  # fmt: skip
def test_the_end_of_a_job_is_the_end_of_the_command(server: FakeServer, ends: Any, code: int, kind: str) -> None:
    server.ends = ends
    result = run(*CLIP, "-o", "a.mp4", "--json")
    assert (result.exit_code, answer(result)["error"]) == (code, kind)
    assert [path.name for path in Path().iterdir()] == ["home"]


def test_a_broken_stream_goes_on_where_it_was(server: FakeServer) -> None:
    server.hang_up_after = [2, 4]
    result = run(*CLIP, "-o", "a.mp4")
    assert result.exit_code == 0, result.output
    assert [path for _, path in server.asked].count("/jobs/job1/events") == 3
    assert result.stderr.count("sampling") == 1 and Path("a.mp4").read_bytes() == server.result


def test_a_server_that_returns_is_followed_again(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """At another address, as after a restart that found its port taken."""
    monkeypatch.setattr(followed, "LOOK_S", 0.01)
    server.dies_after = 3
    stop = server.stop

    def restart() -> None:
        stop()
        server.dies_after, server.port = None, 0
        server.start().announce(Path("home"))

    with monkeypatch.context() as patch:
        patch.setattr(server, "stop", restart)
        result = run(*CLIP, "-o", "a.mp4")
    assert result.exit_code == 0, result.output
    assert "stopped answering; waiting up to 30 s" in result.stderr
    assert len(server.jobs) == 1 and Path("a.mp4").read_bytes() == server.result


def test_a_server_that_stays_away_is_replaced_by_this_command(
    server: FakeServer, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "LOOK_S", 0.01)
    monkeypatch.setattr(followed, "RETURN_S", 0.05)
    server.dies_after = 3
    result = run(*CLIP, "-o", "a.mp4")
    assert result.exit_code == 0, result.output
    assert "did not return" in result.stderr and "generates the clip itself" in result.stderr
    assert Path("a.mp4").read_bytes() == made[0].read_bytes()


def test_a_named_server_that_stays_away_fails_the_command(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "RETURN_S", 0.05)
    server.dies_after = 3
    result = run(*CLIP, "-o", "a.mp4", "--server", server.url)
    assert result.exit_code == 1 and "It keeps the job job1" in result.stderr
    assert [path.name for path in Path().iterdir()] == ["home"]


@pytest.mark.parametrize("quiet_s", [0.0, 60.0], ids=["while it waits", "while it is submitted"])
def test_ctrl_c_cancels_the_job(server: FakeServer, tmp_path: Path, quiet_s: float) -> None:
    """Also a job that the server has, but whose id has not arrived yet."""
    server.runs, server.keeps_quiet_s = False, quiet_s
    child = process("-m", "kinema", *CLIP, "-o", "a.mp4", cwd=tmp_path)
    try:
        for _ in range(500):
            if any(path.endswith("/events") for _, path in server.asked) or (quiet_s and server.jobs):
                break
            server.canceled.wait(0.05)
        child.send_signal(signal.SIGINT)
        stderr = child.communicate(timeout=30)[1]
    finally:
        child.kill()
    assert server.canceled.is_set() and child.returncode == 130
    assert "canceled the job job1" in stderr and "No incomplete file" in stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_the_client_is_light(server: FakeServer, tmp_path: Path) -> None:
    """Neither torch nor numpy nor the codecs are imported, and the peak of its memory is small."""
    code = (
        "import atexit, pathlib, sys\n"
        "atexit.register(lambda: print(sorted({'torch', 'numpy', 'av', 'PIL', 'httpx2', 'diffusers'} & {*sys.modules}),"
        " pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0], file=sys.stderr))\n"
        f"sys.argv = ['kinema', *{[*CLIP, '-o', 'a.mp4']!r}]\n"
        "from kinema.cli.main import main\nmain()\n"
    )
    child = process("-c", code, cwd=tmp_path)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 0, stderr
    imported, _, kilobytes = stderr.strip().splitlines()[-1].rpartition(" ")
    assert imported == "[]" and int(kilobytes) <= 80_000
