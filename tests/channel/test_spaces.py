"""Clips from a Gradio Space, through gradio_client and a server with failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gradio_client
import numpy as np
import pytest

from kinema.channel.making.job import ShotOrder, Unavailable
from kinema.channel.making.spaces import SpaceMaker
from kinema.channel.writing.breaker import Breaker
from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError, RequestError
from kinema.media.read import probe
from kinema.media.write import write


@pytest.fixture
def space(tmp_path):
    clip, started = tmp_path / "clip.mp4", []
    write([Chunk(np.zeros((4, 32, 48, 3), np.uint8), 0, 8.0)], clip)

    def start(*behaviours: str, **settings):
        log = tmp_path / "asked.jsonl"
        script = str(Path(__file__).with_name("space_server.py"))
        process = subprocess.Popen(
            [sys.executable, script, str(clip), str(log), *behaviours], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        address = f"http://127.0.0.1:{int(process.stdout.readline())}"
        job = ShotOrder(
            id="t-e00001s01", prompt="a red ball", negative_prompt="", seconds=2.0, seed=7, profile="fast",
            model=f"space:{address}", making={},
            space={
                "endpoint": "/make", "inputs": ["{prompt}", "{seed}"], "timeout_s": 60.0, "key_env": None, **settings,
            },
        )  # fmt: skip
        return job, log

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_space_makes_a_clip(space, tmp_path, monkeypatch):
    monkeypatch.setenv("SPACE_TOKEN", "hf_secret")
    job, log = space("good", key_env="SPACE_TOKEN")
    maker = SpaceMaker(job.model)
    maker.check(job)
    maker.make(job, tmp_path / "made.mp4")
    info = probe(tmp_path / "made.mp4")
    assert (info.width, info.height, info.num_frames) == (48, 32, 4)
    asked = json.loads(log.read_text())
    assert asked["data"] == ["a red ball", 7]
    assert asked["token"] == "Bearer hf_secret"


def test_what_a_space_can_do_wrong(space, tmp_path):
    job, _ = space("error", "words", "text", "503")
    maker, target = SpaceMaker(job.model), tmp_path / "made.mp4"
    with pytest.raises(KinemaError, match="I do not draw that") as refused:
        maker.make(job, target)
    assert not isinstance(refused.value, Unavailable)  # the shot's fault
    with pytest.raises(KinemaError, match="no clip"):
        maker.make(job, target)
    with pytest.raises(KinemaError):
        maker.make(job, target)
    assert maker.breaker.failed_in_a_row == 0
    with pytest.raises(Unavailable):
        maker.make(job, target)
    assert maker.breaker.failed_in_a_row == 1
    assert not target.exists()


def test_a_space_that_hangs_or_is_gone_is_left_alone_for_a_while(space, tmp_path):
    job, log = space("hang", "hang", "good", timeout_s=1.5)
    now, waited = [0.0], []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    maker = SpaceMaker(job.model, Breaker(failures=2, pause_s=20.0, clock=lambda: now[0]), sleep)
    target = tmp_path / "made.mp4"
    for _ in range(2):
        with pytest.raises(Unavailable):
            maker.make(job, target)
    assert maker.breaker.is_open
    assert not waited
    patient = ShotOrder(**{**job.__dict__, "space": {**job.space, "timeout_s": 60.0}})
    maker.make(patient, target)  # called again only after the pause
    assert sum(waited) == 20.0
    assert target.is_file()
    assert len(log.read_text().splitlines()) == 3
    gone = SpaceMaker("space:http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        gone.make(job, target)


@pytest.fixture
def victim(tmp_path):
    """A private server of this machine that must not get requests: (address, requested paths)."""
    asked: list[str] = []
    data = (tmp_path / "secret.mp4").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def secret(tmp_path):
    """A video of this machine that must not be published."""
    path = tmp_path / "secret.mp4"
    write([Chunk(np.full((6, 64, 64, 3), 200, np.uint8), 0, 8.0)], path)
    (tmp_path / "link.mp4").symlink_to(path)
    return path


def file_data(path: str, **more) -> dict:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "clip.mp4", **more}


def test_no_answer_of_a_space_names_a_file_of_this_machine_or_another_server(space, secret, victim, tmp_path):
    """Whatever the response names, only files of the Space are fetched; no other server gets a request."""
    other, asked = victim
    here, named = str(secret), os.path.relpath(secret)
    answers = [
        [here, "/etc/passwd", named, f"file://{here}", f"{other}/secret.mp4", str(tmp_path / "link.mp4"), [[[here]]]],
        [here], [file_data(here)], [file_data(f"file://{here}")], [file_data(f"{other}/x.mp4")],
        [{"name": here, "data": None, "is_file": True}, {"video": {"path": named}, "subtitles": None}],
        [{"a": {"b": [file_data("../../" * 20 + here)]}}], [file_data(here, url=f"file://{here}")],
        [file_data("/srv/x", url=f"{other}/secret.mp4", is_stream=True),
         file_data("/srv/x", url=f"file://{here}", is_stream=True)],
        [file_data(f"/srv/redirect/{other}/secret.mp4")], [file_data(f"/srv/redirect/file://{here}")],
        [file_data(f"@{other.removeprefix('http://')}/x.mp4")], [file_data("/srv/\ud800.mp4")],
        [file_data("x" * 10_000), {"path": 5}, {"path": None}, {"path": ""}],
    ]  # fmt: skip
    job, log = space(*map(json.dumps, answers))
    maker, target = SpaceMaker(job.model), tmp_path / "made.mp4"
    maker.breaker.failures = 1000
    for answer in answers:
        with pytest.raises(KinemaError):
            maker.make(job, target)
        assert not target.exists(), answer
    assert asked == [] and len(log.read_text().splitlines()) == len(answers)


def test_a_file_of_the_spaces_own_is_found_wherever_it_lies_in_its_answer(space, secret, victim, tmp_path):
    other, asked = victim
    answers = [
        [file_data("/srv/clip.mp4", url=f"{other}/secret.mp4")], [{"video": {"path": "/srv/clip.mp4"}}],
        [[str(secret), {"value": {"path": "/srv/clip.mp4"}}]],
    ]  # fmt: skip
    job, _ = space(*map(json.dumps, answers))
    for _ in answers:
        target = tmp_path / "made.mp4"
        SpaceMaker(job.model).make(job, target)
        assert target.read_bytes() == (tmp_path / "clip.mp4").read_bytes()
    assert asked == []


@pytest.mark.parametrize(
    ("behaviours", "why"),
    [
        (["config-drip", "good"], "did not respond within|no clip within"),
        (["config-packed", "good"], "encoded response"),
        (["stream-drip"], "did not respond within|no clip within"),
        (["stream-endless"], "sends more than"),
        ([json.dumps([{"path": "/srv/drip"}])], "did not respond within"),
        ([json.dumps([{"path": "/srv/endless"}])], "sends more than"),
        ([json.dumps([{"path": "/srv/packed"}])], "encoded response"),
        (["config-odd []", "good"], "."), (["config-odd 5", "good"], "."), (["config-odd " + "[" * 5000, "good"], "."),
        (['config-odd {"dependencies": 5}', "good"], "."),
    ],
)  # fmt: skip
def test_what_a_space_sends_is_bounded_in_time_and_size(space, tmp_path, monkeypatch, behaviours, why):
    monkeypatch.setattr("kinema.channel.making.spaces.MAX_BYTES", 2_000_000, raising=False)
    timeout_s = 1.5 if "within" in why else 10.0  # on a busy machine the size limit is reached later
    job, _ = space(*behaviours, timeout_s=timeout_s)
    began, target = time.monotonic(), tmp_path / "made.mp4"
    with pytest.raises(KinemaError, match=why):
        SpaceMaker(job.model).make(job, target)
    assert time.monotonic() - began < timeout_s + 2 and not target.exists()


def test_a_space_cannot_send_its_calls_and_the_token_elsewhere(space, secret, victim, tmp_path, monkeypatch):
    other, asked = victim
    monkeypatch.setenv("SPACE_TOKEN", "hf_secret")
    job, _ = space(f"config-elsewhere {other}", "good", key_env="SPACE_TOKEN")
    with pytest.raises(KinemaError, match="redirects to another origin"):
        SpaceMaker(job.model).make(job, tmp_path / "made.mp4")
    assert asked == []


def test_the_token_saved_on_this_machine_is_not_sent(space, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_machine")
    job, log = space("good")
    SpaceMaker(job.model).make(job, tmp_path / "made.mp4")
    assert json.loads(log.read_text())["token"] is None


def test_the_clients_makers_are_told_nothing(space, tmp_path, monkeypatch):
    """The environment of the process is unchanged too."""
    told: list[object] = []
    monkeypatch.setattr(gradio_client.Client, "_telemetry_thread", told.append)
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED", raising=False)
    job, _ = space("good")
    SpaceMaker(job.model).make(job, tmp_path / "made.mp4")
    assert not told and "GRADIO_ANALYTICS_ENABLED" not in os.environ


def test_a_name_is_looked_up_at_the_hub(space, tmp_path, monkeypatch):
    job, _ = space("good")
    hosts = [{"host": job.model.removeprefix("space:")}, {"host": "file:///etc"}, {"host": 5}, []]

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps(hosts.pop(0)).encode()
            self.send_response(200 if self.path == "/api/spaces/me/films" else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    maker = SpaceMaker("space:me/films")
    maker.breaker.failures = 1000
    maker.make(job, tmp_path / "made.mp4")
    assert probe(tmp_path / "made.mp4").num_frames == 4
    for _ in range(len(hosts)):
        with pytest.raises(KinemaError, match="hub"):
            maker.make(job, tmp_path / "none.mp4")
    server.shutdown()
    server.server_close()


def test_what_is_no_space_is_refused(space):
    job, _ = space("good")
    with pytest.raises(RequestError, match="owner/name"):
        SpaceMaker("space:nowhere").check(job)
    for wrong in ("a/b/c", "../x", "a/b?c=d", "file:///etc", "https://me:secret@films.example"):
        with pytest.raises(RequestError):
            SpaceMaker(f"space:{wrong}").check(job)
