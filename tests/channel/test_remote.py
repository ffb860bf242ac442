"""Clips from another Kinema over HTTP: a real `kinema serve`, whose jobs the test itself runs, and its failures."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinema.channel.making.job import KNOWN_FRAMES, ShotOrder, Unavailable
from kinema.channel.making.makers import Makers
from kinema.channel.making.remote import RemoteMaker
from kinema.channel.writing.breaker import Breaker
from kinema.core.by_hash import hashes_found_by
from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.jobs import clip_body
from kinema.jobs.attempts import Worker
from kinema.jobs.kinds import JobKind, Kinds
from kinema.jobs.pool import EnginePool
from kinema.jobs.store import JobStore
from kinema.media.read import probe, read_video
from kinema.media.write import write

TOKEN = "a token of twenty and more letters"
MODEL = "kinema-mini-wan"


class Serve:
    """`kinema serve` without workers as a process."""

    def __init__(self, home: Path, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kinema", "serve", "--workers", "0", "--port", str(port), "--token-env", "T"],
            stderr=subprocess.PIPE, text=True, env=os.environ | {"T": TOKEN, "KINEMA_HOME": str(home)},
        )  # fmt: skip
        self.base, lines = "", ""
        while not self.base:
            line = self.process.stderr.readline()
            assert line, f"the server ended: {lines}"
            lines += line
            if found := re.search(r"(http://127.0.0.1:\d+)/", line):
                self.base = found[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


class FakeWorker:
    """Runs clip jobs without a model: frames that count. gate: jobs wait for it. seen: the requests."""

    def __init__(self, url: str) -> None:
        self.gate, self.began, self.seen = threading.Event(), threading.Event(), []
        kind = JobKind("clip", clip_body.check, clip_body.media, self.run)
        self.store = JobStore.open(url, kinds=Kinds([kind]))
        self.stop = threading.Event()
        worker = Worker(self.store, "fake", EnginePool("cpu"))
        self.thread = threading.Thread(target=worker.run, args=(self.stop,))
        self.thread.start()

    def run(self, context, body):
        parsed = clip_body.parse(body)
        self.seen.append(parsed.request)
        self.began.set()
        assert self.gate.wait(60)
        start = 0
        for condition in parsed.request.conditions:
            with hashes_found_by(context.media.path):
                start = int(read_video(context.media.path(condition.clip))[0][-1].mean()) // 4 - condition.frames + 1
        frames_FHWC = np.zeros((17, 64, 64, 3), np.uint8)
        frames_FHWC += (4 * (start + np.arange(17, dtype=np.uint8)))[:, None, None, None]
        target = context.folder / "clip.mp4"
        write([Chunk(frames_FHWC, 0, 8.0)], target, quality=parsed.quality or "good")
        return context.store_file(target, "video/mp4")

    def end(self) -> None:
        self.gate.set()
        self.stop.set()
        self.thread.join(30)
        self.store.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def server(home):
    found = [Serve(home)]
    yield found
    found[-1].kill()


@pytest.fixture
def worker(server, home, monkeypatch):
    monkeypatch.setenv("KEY", TOKEN)
    found = FakeWorker(f"sqlite:///{home / 'server' / 'jobs.sqlite'}")
    yield found
    found.end()


def order(base: str, id: str = "t-e00001s01", **fields) -> ShotOrder:
    found = ShotOrder(
        id=id, prompt="a red ball rolls left over a green hill", negative_prompt="blur", seconds=2.125, seed=7,
        profile="fast", model=f"kinema:{base}/{MODEL}", making={}, space={"timeout_s": 120.0, "key_env": "KEY"},
    )  # fmt: skip
    return replace(found, **fields)


def numbers(path: Path) -> list[int]:
    """The numbers that the fake worker drew on the frames."""
    return [round(float(frame_HWC.mean()) / 4) for frame_HWC in read_video(path)[0]]


def test_a_shot_and_one_that_continues_it(server, worker, tmp_path):
    worker.gate.set()
    one = order(server[0].base, keeps=True)
    remote = Makers().of(one.model)
    assert isinstance(remote, RemoteMaker)
    remote.check(one)
    assert remote.continues()
    remote.make(one, tmp_path / "one.mp4")
    assert numbers(tmp_path / "one.mp4") == list(range(16))  # whole seconds
    sent = worker.seen[0]
    assert (sent.prompt, sent.negative_prompt, sent.seed, sent.profile, sent.model) == (
        one.prompt, "blur", 7, "fast", MODEL
    )  # fmt: skip
    assert worker.store.list() == []  # fetched, it is deleted there
    tail, frames_FHWC = tmp_path / "tail.webp", read_video(tmp_path / "one.mp4")[0][-KNOWN_FRAMES:]
    write([Chunk(frames_FHWC, 0, 8.0)], tail, quality="best")
    two = order(server[0].base, "t-e00001s02", tail=str(tail))
    remote.make(two, tmp_path / "two.mp4")
    assert worker.seen[1].conditions[0].clip.startswith("sha256:")
    assert numbers(tmp_path / "two.mp4") == list(range(16, 28))
    assert probe(tmp_path / "two.mp4").fps == 8


def test_what_the_server_refuses(server, worker, tmp_path):
    base = server[0].base
    with pytest.raises(RequestError, match="does not serve 'kinema-none'"):
        RemoteMaker(f"kinema:{base}/kinema-none").check(order(base))
    with pytest.raises(RequestError):
        RemoteMaker(f"kinema:{base}/kinema-none").make(order(base), tmp_path / "clip.mp4")
    with pytest.raises(Exception, match="requires its token"):
        RemoteMaker(f"kinema:{base}/{MODEL}").check(order(base, space={"timeout_s": 9.0, "key_env": None}))
    assert list(tmp_path.iterdir()) == [] and worker.seen == []


def test_a_server_that_dies_keeps_the_job(server, worker, home, tmp_path):
    one = order(server[0].base, "t-e00001s03")
    making = threading.Thread(target=lambda: Makers().of(one.model).make(one, tmp_path / "clip.mp4"))
    making.start()
    assert worker.began.wait(60)
    port = int(server[-1].base.rpartition(":")[2])
    server[-1].kill()
    worker.gate.set()
    server.append(Serve(home, port))
    making.join(60)
    assert numbers(tmp_path / "clip.mp4") == list(range(17)) and len(worker.seen) == 1


def test_an_unreachable_server_is_unavailable_and_opens_the_breaker(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    remote = RemoteMaker(f"kinema:{base}/{MODEL}", Breaker(pause_s=30.0, clock=lambda: now[0]), sleep)
    one = order(base, space={"timeout_s": 9.0, "key_env": None})
    remote.check(one)  # it may come back
    for _ in range(4):
        with pytest.raises(Unavailable):
            remote.make(one, tmp_path / "clip.mp4")
    assert sum(slept) == 30.0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["kinema:mini", "kinema:http://host", "kinema:ftp://h/m", "kinema:http://u:p@h/m"])
def test_addresses_that_are_none(model):
    with pytest.raises(RequestError, match="not the address of a model"):
        RemoteMaker(model)
