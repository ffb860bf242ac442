"""Clips from another Kinema over HTTP: a real `kinema worker --listen`, and its failures."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient

from kinema.channel.making import order_queue as benches
from kinema.channel.making.job import ShotOrder, Unavailable
from kinema.channel.making.makers import maker
from kinema.channel.making.order_queue import DONE, DRAWING, FAILED, IdTaken, OrderQueue, QueueFull
from kinema.channel.making.remote import RemoteMaker
from kinema.channel.web import clip_process
from kinema.channel.web.clip_site import clip_site, job_of
from kinema.channel.writing.breaker import Breaker
from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError, RequestError
from kinema.media.read import probe
from kinema.media.write import write

TOKEN = "a token of twenty and more letters"


class Worker:
    """`kinema worker --listen` as a process."""

    def __init__(self, port: int = 0, **environment: str) -> None:
        words = ["--listen", f"127.0.0.1:{port}", "--model", "toyland", *(["--token-env", "T"] if environment else [])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kinema", "worker", *words], stderr=subprocess.PIPE, text=True,
            env=os.environ | environment,
        )  # fmt: skip
        self.base = ""
        while not self.base:
            line = self.process.stderr.readline()
            assert line, "the worker ended"
            if found := re.search(r"toyland at (http://127.0.0.1:\d+)/", line):
                self.base = found[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def job(base: str, id: str = "t-e00001s01", **fields) -> ShotOrder:
    found = ShotOrder(
        id=id, prompt="a red ball rolls left over a green hill", negative_prompt="", seconds=1.0, seed=7,
        profile="fast", model=f"kinema:{base}/toyland", making={}, space={"timeout_s": 120.0, "key_env": None},
        width=96, height=64,
    )  # fmt: skip
    return replace(found, **fields)


def test_a_clip_from_another_kinema(tmp_path, monkeypatch):
    worker = Worker(T=TOKEN)
    try:
        monkeypatch.setenv("KEY", TOKEN)
        order = job(worker.base, space={"timeout_s": 120.0, "key_env": "KEY"})
        remote = maker(order.model)
        assert isinstance(remote, RemoteMaker)
        remote.check(order)
        remote.make(order, tmp_path / "clip.mp4")
        info = probe(tmp_path / "clip.mp4")
        assert (info.width, info.height, info.num_frames / info.fps) == (96, 64, 1.0)
        maker("toyland").make(order, tmp_path / "here.mp4")
        assert (tmp_path / "clip.mp4").read_bytes() == (tmp_path / "here.mp4").read_bytes()
        with pytest.raises(RequestError, match="does not serve 'kinema-mini-wan'"):
            RemoteMaker(f"kinema:{worker.base}/kinema-mini-wan").check(order)
        with pytest.raises(KinemaError, match="401") as refused:
            remote.make(job(worker.base), tmp_path / "none.mp4")
        assert not isinstance(refused.value, Unavailable) and not (tmp_path / "none.mp4").exists()
    finally:
        worker.kill()


def test_one_that_dies_between_is_asked_again(tmp_path):
    """The worker is killed while its client waits and restarted without the order, which is sent again."""
    workers = [Worker()]
    base = workers[0].base

    def die_and_return(_seconds: float) -> None:
        if len(workers) == 1:
            workers[0].kill()
            workers.append(Worker(int(base.rpartition(":")[2])))

    try:
        RemoteMaker(f"kinema:{base}/toyland", sleep=die_and_return).make(job(base), tmp_path / "clip.mp4")
        assert len(workers) == 2 and probe(tmp_path / "clip.mp4").num_frames > 0
    finally:
        workers[-1].kill()


def test_an_unreachable_worker_is_unavailable_and_opens_the_breaker(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    remote = RemoteMaker(f"kinema:{base}/toyland", Breaker(pause_s=30.0, clock=lambda: now[0]), sleep)
    remote.check(job(base))  # it may come back
    for _ in range(4):
        with pytest.raises(Unavailable):
            remote.make(job(base), tmp_path / "clip.mp4")
    assert sum(slept) == 30.0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["kinema:mini", "kinema:http://host", "kinema:ftp://h/m", "kinema:http://u:p@h/m"])
def test_addresses_that_are_none(model):
    with pytest.raises(RequestError, match="not the address of a model"):
        RemoteMaker(model)


class Fake:
    """Fails with `wrong`, or writes a clip, once `go` is set."""

    def __init__(self) -> None:
        self.go, self.began, self.wrong = threading.Event(), threading.Event(), None

    def check(self, job: ShotOrder) -> None:
        pass

    def make(self, job: ShotOrder, target) -> None:
        self.began.set()
        self.go.wait(60)
        if self.wrong is not None:
            raise self.wrong
        write([Chunk(np.zeros((4, 32, 48, 3), np.uint8), 0, 8.0)], target)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    fake = Fake()
    monkeypatch.setattr(benches, "maker", lambda _model: fake)
    bench = OrderQueue(["fake"], tmp_path / "bench")
    (tmp_path / "bench").mkdir()
    thread = threading.Thread(target=bench.run, daemon=True)
    thread.start()
    yield bench, fake
    fake.go.set()
    bench.stop()
    thread.join(60)
    assert not thread.is_alive()


def until(bench: OrderQueue, name: str, *states: str):
    for _ in range(600):
        if (found := bench.get(name)) is not None and found.state in states:
            return found
        threading.Event().wait(0.05)
    raise AssertionError(bench.get(name))


def fake_job(id: str) -> ShotOrder:
    return job("http://h", id, model="fake", making={"device": "cuda:9"}, tail="/etc/passwd")


def test_a_bench(shop):
    bench, fake = shop
    first = bench.add(fake_job("a"))
    assert first.job.tail == "" and first.job.making["device"] == ""  # local fields of the client are dropped
    assert fake.began.wait(60)
    bench.forget("a")  # it is being drawn
    assert bench.get("a").state == DRAWING
    for number in range(benches.MOST_WAITING - 1):
        bench.add(fake_job(f"b{number}"))
    with pytest.raises(QueueFull):
        bench.add(fake_job("c"))
    assert bench.add(fake_job("a")).state == DRAWING  # not twice
    for other in ({"prompt": "another"}, {"seed": 8}, {"width": 128}, {"profile": "exact"}, {"seconds": 2.0}):
        with pytest.raises(IdTaken):
            bench.add(replace(fake_job("a"), **other))
    with pytest.raises(RequestError, match="not served here"):
        bench.add(replace(fake_job("d"), model="python:os:system"))
    fake.go.set()
    path = until(bench, "a", DONE).path
    assert path.is_file()
    bench.forget("a")
    assert not path.exists() and bench.get("a") is None
    until(bench, f"b{benches.MOST_WAITING - 2}", DONE)
    for wrong, again in ((KinemaError("too slow"), True), (RequestError("no such size"), False), (OSError("x"), True)):
        fake.wrong = wrong
        bench.add(fake_job("e"))
        failed = until(bench, "e", FAILED)
        assert (failed.error, failed.again) == (str(wrong), again)
    fake.wrong = None
    bench.add(fake_job("e"))  # a failed order can be repeated
    until(bench, "e", DONE)
    for number in range(benches.MOST_KEPT + 2):
        bench.add(fake_job(f"f{number}"))
        until(bench, f"f{number}", DONE)
    assert len(list(bench.folder.iterdir())) == benches.MOST_KEPT


def test_what_the_site_refuses(shop):
    bench, _ = shop
    app = clip_site(bench, TOKEN)
    good = {"id": "a", "model": "fake", "prompt": "x", "seconds": 1.0}

    def ask(verb: str, path: str, token: str = TOKEN, **more):
        async def run():
            headers = {"authorization": f"Bearer {token}"} | more.pop("headers", {})
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://bench") as http:
                return await http.request(verb, path, headers=headers, **more)

        import asyncio

        return asyncio.run(run())

    assert ask("GET", "/").json() == {"kinema": "clips", "models": ["fake"]}
    for verb, path in (("GET", "/"), ("POST", "/clips"), ("GET", "/clips/a"), ("DELETE", "/clips/a")):
        assert ask(verb, path, token="another token of many letters").status_code == 401
    assert ask("POST", "/clips", json=good, headers={"origin": "http://evil"}).status_code == 403
    assert ask("POST", "/clips", content=b"x" * 70_000).status_code == 413
    assert ask("POST", "/clips", json=good | {"model": "other"}).status_code == 422
    for path in ("/clips/none", "/clips/none.mp4", "/clips/..%2F..%2Fetc%2Fpasswd"):
        assert ask("GET", path).status_code == 404
    assert ask("POST", "/clips", json=good).status_code == 202
    assert ask("POST", "/clips", json=good).json()["state"] in ("waiting", "drawing")  # the same one again
    other = ask("POST", "/clips", json=good | {"prompt": "y"})
    assert other.status_code == 409 and "Another order has the id a" in other.json()["error"]
    assert bench.get("a").job.prompt == "x"
    for odd in ("[" * 50_000, '{"id": "\\ud800"}', '{"seconds": NaN}', '{"profile": []}', "5", '"x"', "\xff"):
        assert ask("POST", "/clips", content=odd).status_code == 422
    assert ask("GET", "/clips/a.mp4").status_code == 404  # not done


def test_a_bench_without_a_token_goes_by_no_strangers_name(shop):
    """DNS rebinding."""
    bench, _ = shop
    own, secret = TestClient(clip_site(bench, None, ["gpu-box"])), TestClient(clip_site(bench, TOKEN))
    for host in ("127.0.0.1:8200", "localhost", "[::1]:8200", "gpu-box:8200"):
        assert own.get("/", headers={"host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "a@localhost", ""):
        assert own.get("/", headers={"host": host}).status_code == 421
        assert own.post("/clips", json={}, headers={"host": host}).status_code == 421
    known = {"host": "gpu.example", "authorization": f"Bearer {TOKEN}"}
    assert secret.get("/", headers=known).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "../a"), ("id", ""), ("prompt", 3), ("prompt", "x" * 5000), ("seconds", 1e9), ("seconds", True),
        ("seed", 1.5), ("seed", -1), ("width", 0), ("profile", "best"), ("model", None),
    ],
)  # fmt: skip
def test_orders_that_are_none(field, value):
    order = {"id": "a", "model": "fake", "prompt": "x", "seconds": 1.0} | {field: value}
    with pytest.raises(RequestError, match=field):
        job_of(json.dumps(order).encode())


def test_what_never_listens(monkeypatch, tmp_path):
    for where in ("8200", "host", ":", "host:x"):
        with pytest.raises(RequestError, match="HOST:PORT"):
            clip_process.serve(where, ["toyland"], "", None, print)
    with pytest.raises(RequestError, match="requires a token"):
        clip_process.serve("0.0.0.0:0", ["toyland"], "", None, print)
    monkeypatch.setenv("NOTE", str(tmp_path / "imported"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_maker.py").write_text("import os, pathlib\npathlib.Path(os.environ['NOTE']).touch()\n")
    for elsewhere in ("space:a/b", "kinema:http://h/m", "python:own_maker:Maker", "python:os:system"):
        with pytest.raises(RequestError, match="not a model of this machine"):
            clip_process.serve("127.0.0.1:0", [elsewhere], "", None, print)
    assert not (tmp_path / "imported").exists()  # not imported
    monkeypatch.setenv("T", "short")
    with pytest.raises(RequestError, match="token"):
        clip_process.serve("127.0.0.1:0", ["toyland"], "", "T", print)
