"""Half-open connections, slow senders and readers that do not read: real sockets against lowered limits."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import replace

import pytest
from site_client import TOKEN, Noted

from kinema.channel.web.site import SiteSettings, site
from kinema.http.connection_limits import FOR_JOBS, FOR_VIEWERS, ConnectionLimits
from kinema.http.listening import listen
from kinema.http.serving import server
from kinema.jobs.store import JobStore
from kinema.server.app import server_app
from kinema.server.settings import ServerSettings

QUICK = ConnectionLimits(head_s=0.4, body_s=0.4, answer_s=0.4, idle_s=1, each=12, all=40)
POST = b"POST /api/themes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


@contextlib.contextmanager
def running(app, limits: ConnectionLimits = QUICK, proxies=()):
    sock = listen("127.0.0.1", 0)
    serving = server(app, proxies, limits)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not serving.started:
        time.sleep(0.01)
    try:
        yield sock.getsockname()
    finally:
        serving.should_exit = serving.force_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture(params=["site", pytest.param("jobs", marks=pytest.mark.slow)])
def app(request, tmp_path):
    """The watch page and the server of jobs, which run behind the same web server; a token that is not sent."""
    if request.param == "site":
        yield site(tmp_path, Noted(), SiteSettings(token=TOKEN))
        return
    with JobStore.open(f"sqlite:///{tmp_path / 'jobs.sqlite'}") as store:
        yield server_app(store, ServerSettings(token=TOKEN))


def connected(address, source: str = "127.0.0.1") -> socket.socket:
    found = socket.create_connection(address, timeout=5, source_address=(source, 0))
    found.settimeout(5)
    return found


def asked(address, source: str = "127.0.0.1") -> bytes:
    """The status line of a response; b"" if the connection was closed."""
    with connected(address, source) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(GET)
        return sock.recv(4096).partition(b"\r\n")[0]
    return b""


def lives(sock: socket.socket, data: bytes = b"", every_s: float = 0.05, longest_s: float = 3.0) -> float:
    """Seconds until the server closes a connection on which `data` is sent repeatedly."""
    began = time.monotonic()
    sock.settimeout(every_s)
    while time.monotonic() - began < longest_s:
        try:
            if data:
                sock.sendall(data)
            if not sock.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


ENDLESS = [
    (b"", b""), (b"", b"G"), (b"GET / HT", b""), (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ", b"y"),
    (b"POST /clips HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n", b""),
    (b"POST /clips HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " + TOKEN.encode()
     + b"\r\ncontent-length: 1000\r\n\r\n", b" "),
    (POST + b"content-length: 1000\r\n\r\n", b" "),
    (POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("app", "first", "drip"),
    [("site", *each) for each in ENDLESS]
    + [pytest.param("bench", *each, marks=() if b"/clips" in each[0] else pytest.mark.slow) for each in ENDLESS],
    indirect=["app"],
)
def test_a_request_that_does_not_end_is_ended(app, first, drip):
    with running(app) as address, connected(address) as sock:
        sock.sendall(first)
        assert 0.0 < lives(sock, drip) < 2.0
        assert asked(address).startswith(b"HTTP/1.1")


def test_the_next_request_of_a_connection_has_its_time_too(app):
    with running(app, replace(QUICK, idle_s=30)) as address, connected(address) as sock:
        for _ in range(3):
            sock.sendall(GET)
            time.sleep(0.2)
            assert sock.recv(1 << 20).startswith(b"HTTP/1.1")
        time.sleep(0.5)  # longer than head_s is legal between two requests
        sock.sendall(GET[:10])
        assert lives(sock, b"x") < 2.0


def test_half_open_connections_of_one_keep_nobody_else_out(app):
    limits = replace(QUICK, head_s=30.0)
    with running(app, limits) as address, contextlib.ExitStack() as stack:
        for _ in range(limits.each + 20):
            stack.enter_context(connected(address)).sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.2)
        assert asked(address) == b""  # the client that holds them all
        answer = asked(address, "127.0.0.2")
        assert answer.startswith(b"HTTP/1.1 ") and b"503" not in answer


def test_connections_that_end_count_no_more(app):
    with running(app) as address:
        for _ in range(3 * QUICK.each):
            assert asked(address).startswith(b"HTTP/1.1")
        with contextlib.ExitStack() as stack:
            for _ in range(QUICK.each):
                stack.enter_context(connected(address))
            time.sleep(1.0)  # longer than head_s
            assert asked(address).startswith(b"HTTP/1.1")


def test_a_proxy_brings_everybody(app):
    limits = replace(QUICK, head_s=30.0, each=3, all=60)
    with running(app, limits, proxies=["127.0.0.1"]) as address, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connected(address)).sendall(b"GET")
        assert asked(address).startswith(b"HTTP/1.1")


def test_a_reader_that_takes_nothing_is_left():
    async def large(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1000):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            ended.append("all was sent")

    ended: list[str] = []
    with running(large) as address, connected(address) as sock:
        sock.sendall(GET)
        time.sleep(1.5)
        size = 0
        with contextlib.suppress(ConnectionError):
            while part := sock.recv(1 << 20):
                size += len(part)
        assert 0 < size < 90_000_000


def test_the_limits_of_the_servers_are_in_proportion():
    for limits in (FOR_VIEWERS, FOR_JOBS):
        assert 10 * limits.each >= limits.all / 2 >= limits.each  # one network never has most of them
        assert limits.head_s <= 15 and limits.body_s <= 30
