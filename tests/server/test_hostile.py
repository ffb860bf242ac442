"""Hostile clients over real sockets: slow, huge, foreign, many at once. Nothing outside the store is touched."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from kinema.http.connection_limits import FOR_JOBS
from kinema.http.listening import listen
from kinema.http.serving import server
from kinema.server.app import server_app
from kinema.server.settings import ServerSettings

QUICK = replace(FOR_JOBS, head_s=0.5, body_s=0.5, answer_s=0.5, body_bytes_per_s=20_000)
JSON = {"content-type": "application/json"}
CLIP = json.dumps({"kind": "clip", "body": {"prompt": "a red ball", "seed": 1}})


@pytest.fixture
def address(store, quick_plans):
    app = server_app(store, ServerSettings(max_body_bytes=100_000, max_upload_bytes=2_000_000))
    sock = listen("127.0.0.1", 0)
    serving = server(app, limits=QUICK)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not serving.started:
        time.sleep(0.01)
    yield sock.getsockname()
    serving.should_exit = serving.force_exit = True
    thread.join(20)
    assert not thread.is_alive()


def ask(address, method: str, path: str, body=None, headers=None, source="127.0.0.1") -> tuple[int, bytes]:
    """The status and the body of a response; (0, b"") if the connection was closed."""
    connection = http.client.HTTPConnection(*address, timeout=20, source_address=(source, 0))
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def tree(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_pages_of_strangers_change_nothing(address, store):
    foreign = [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
               {"host": "evil.example"}, {"host": "127.0.0.1.evil.example"}]  # fmt: skip
    for headers in foreign:
        for method, path, body in (("POST", "/jobs", CLIP), ("POST", "/media", "data"), ("POST", "/plan", "{}"),
                                   ("DELETE", "/jobs/00000000", None)):  # fmt: skip
            assert ask(address, method, path, body, {**JSON, **headers})[0] in (403, 421), (headers, path)
    assert ask(address, "GET", "/jobs", None, {"host": "evil.example"})[0] == 421
    assert store.list() == [] and store.media.total_bytes() == 0


def test_nothing_outside_the_store_is_read_written_or_fetched(address, store, tmp_path):
    """Paths and addresses in every field: a file that must stay unread is a pipe, which would hang its reader."""
    import os

    secret = tmp_path / "secret.png"
    os.mkfifo(secret)
    calls = socket.create_server(("127.0.0.1", 0))
    calls.settimeout(0.3)
    url = f"http://127.0.0.1:{calls.getsockname()[1]}/x.png"
    before = tree(tmp_path) - tree(store.media.folder.parent)
    for name in (str(secret), f"file://{secret}", f"file:{secret}", url, "../secret.png"):
        kinds = [
            {"image": name}, {"last": name}, {"references": [name]}, {"model": name}, {"upscale": [{"by": name}]},
            {"options": {"base": name}, "model": "animatediff-v3"}, {"options": {"controlnet": [name]}},
            *({"conditions": [{"kind": kind, field: name}]} for kind, field in (
                ("source", "video"), ("mask", "image"), ("mask", "video"), ("continue", "clip"), ("style", "adapter"),
                ("audio", "track"))),
            {"conditions": [{"kind": "control", "control": "edge", "video": name}]},
        ]  # fmt: skip
        for body in kinds:
            for path, sent in (("/plan", body), ("/jobs", {"kind": "clip", "body": body})):
                status, text = ask(address, "POST", path, json.dumps(sent), JSON)
                assert status == 422 and b"over HTTP" in text, (body, text)
    for path in ("/page/..%2f..%2fapp.py", f"/{secret}", "/media/..%2f..%2fjobs.sqlite", "/jobs/..%2f..%2fx/result",
                 "/page/%2e%2e/openapi.py", "/media/" + "0" * 63 + "%00"):  # fmt: skip
        assert ask(address, "GET", path)[0] == 404, path
    with pytest.raises(TimeoutError):
        calls.accept()
    calls.close()
    assert tree(tmp_path) - tree(store.media.folder.parent) == before and store.list() == []


def test_bodies_without_an_end_and_too_large_ones(address, store):
    assert ask(address, "POST", "/jobs", b" " * 150_000, JSON)[0] == 413
    assert ask(address, "POST", "/media", b"x" * 2_500_000)[0] in (413, 0)
    assert ask(address, "POST", "/media", None, {"content-length": str(10**15)})[0] in (413, 0)
    deep = b'{"body":' * 5000
    assert ask(address, "POST", "/jobs", deep, JSON)[0] == 400
    head = "".join(f"x-{number}: {'y' * 900}\r\n" for number in range(200)).encode()
    with socket.create_connection(address, timeout=5) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(b"GET /jobs HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n")
        assert sock.recv(4096).startswith(b"HTTP/1.1 4")
    with socket.create_connection(address, timeout=5) as sock:
        sock.sendall(b"POST /media HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n")
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 8:
                sock.sendall(b"x")
                time.sleep(0.02)
        assert time.monotonic() - began < 6
    deadline = time.monotonic() + 5
    while list(store.media.folder.glob(".*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(store.media.folder.glob(".*")) == [] and store.media.total_bytes() == 0


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault(address, store, caplog):
    for path in ("/media", "/jobs", "/plan"):
        with socket.create_connection(address, timeout=5) as sock:
            head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            sock.sendall(f"{head}content-length: 1000\r\n\r\n{{".encode())
            time.sleep(0.1)
    assert ask(address, "GET", "/healthz")[0] == 200
    time.sleep(0.2)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
    assert list(store.media.folder.glob(".*")) == []


def test_an_upload_that_is_slow_but_moves_has_its_time(address, store):
    """Three times the time that a body without progress has."""
    with socket.create_connection(address, timeout=10) as sock:
        sock.sendall(b"POST /media HTTP/1.1\r\nhost: localhost\r\ncontent-length: 150000\r\nconnection: close\r\n\r\n")
        for _ in range(15):
            sock.sendall(b"x" * 10_000)
            time.sleep(0.1)
        assert sock.recv(4096).startswith(b"HTTP/1.1 201")


def test_two_hundred_at_once(address, store):
    """All are answered or closed, none with a fault, each job is stored once, and the next client is served."""
    job = ask(address, "POST", "/jobs", CLIP, JSON)[1]
    id = json.loads(job)["id"]
    verbs = [("POST", "/jobs", CLIP), ("GET", "/jobs", None), ("POST", "/media", "x" * 5000), ("GET", "/metrics", None),
             ("GET", f"/jobs/{id}/events", None), ("POST", "/plan", '{"prompt":"a"}')]  # fmt: skip

    def one(number: int) -> int:
        method, path, body = verbs[number % len(verbs)]
        headers = {**JSON, "idempotency-key": f"k{number % 12}", "accept": "application/json"}
        return ask(address, method, path, body, headers, source=f"127.0.0.{2 + number % 3}")[0]

    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(one, range(200)))
    assert {status // 100 for status in found} <= {0, 2} and found.count(0) < 20, sorted(found)
    assert ask(address, "GET", "/healthz")[0] == 200
    assert len(store.list(limit=500)) == 1 + len({number % 12 for number in range(0, 200, len(verbs))})


def test_a_stream_that_nobody_reads_costs_nothing(address, store):
    id = json.loads(ask(address, "POST", "/jobs", CLIP, JSON)[1])["id"]
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            sock = stack.enter_context(socket.create_connection(address, timeout=5))
            sock.sendall(f"GET /jobs/{id}/events HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        time.sleep(0.3)
        assert ask(address, "GET", "/healthz")[0] == 200
    ask(address, "POST", f"/jobs/{id}/cancel", "{}", JSON)
    assert ask(address, "GET", f"/jobs/{id}/events", None, {"accept": "application/json"})[0] == 200
