"""The HTTP client: time, size and origin are bounded for each of its users, whatever a server does."""

from __future__ import annotations

import ast
import json
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_server import LARGE, SLOW, OddServer, hang_up, whole

import kinema
from kinema.channel.making import remote
from kinema.channel.making.job import ClipTimeout, ShotOrder, Unavailable
from kinema.channel.making.remote import RemoteMaker
from kinema.core.errors import KinemaError, RequestError
from kinema.http import client as http_client
from kinema.http.chat import Chat, ChatError, Endpoint
from kinema.http.client import Bounds, HttpError, HttpTimeout, Unreachable, download, send_request

LIMIT_S, GRACE_S = 0.3, 1.5


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(remote, "ANSWER_S", LIMIT_S)
    monkeypatch.setattr(remote, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(remote, "AWAY_S", 0.0)
    monkeypatch.setattr(remote, "POLL_S", (0.0, 0.01))


def job(server: OddServer, **fields) -> ShotOrder:
    found = ShotOrder(
        id="t-e00001s01", prompt="a red ball", negative_prompt="", seconds=1.0, seed=7, profile="fast",
        model=f"kinema:{server.address}/toyland", making={}, space={"timeout_s": LIMIT_S, "key_env": None},
    )  # fmt: skip
    return replace(found, **fields)


def bare(server: OddServer, tmp_path: Path) -> None:
    send_request("GET", server.address + "/x", limit_s=LIMIT_S)


def fetched(server: OddServer, tmp_path: Path) -> None:
    try:
        download(server.address + "/x", tmp_path / "x", limit_s=LIMIT_S, max_bytes=1_000_000)
    finally:
        assert not (tmp_path / "x").exists()


def checked(server: OddServer, tmp_path: Path) -> None:
    remote_maker = RemoteMaker(job(server).model)
    remote_maker.check(job(server))
    raise HttpTimeout("it", "passed the check")  # `check` accepts servers that are unreachable now


def ordered(server: OddServer, tmp_path: Path) -> None:
    RemoteMaker(job(server).model).make(job(server), tmp_path / "clip.mp4")


def clip_fetched(server: OddServer, tmp_path: Path) -> None:
    server.answers.insert(0, {"id": "a1", "state": "succeeded", "result": {"bytes": 999_999, "media": "sha256:0"}})
    RemoteMaker(job(server).model).make(job(server), tmp_path / "clip.mp4")


def chatted(server: OddServer, tmp_path: Path) -> None:
    endpoint = Endpoint(base_url=server.address + "/v1", model="m", timeout_s=LIMIT_S, tries=1)
    Chat(endpoint).complete([{"role": "user", "content": "x"}], {}, "answer")


CLIENTS = [bare, fetched, checked, ordered, clip_fetched, chatted]  # for Spaces: test_spaces.py


CLIENT_AND_SLOW = [
    pytest.param(client, slow, marks=() if client is bare or slow is SLOW[0] else pytest.mark.slow)
    for slow in SLOW
    for client in CLIENTS
]
"""Every slow behaviour against the plain client, and one against each other client; the rest are slow tests."""


@pytest.mark.parametrize(("client", "slow"), CLIENT_AND_SLOW)
def test_no_server_holds_a_client_longer_than_its_time(client, slow, tmp_path):
    with OddServer(slow) as server:
        began = time.monotonic()
        with pytest.raises((HttpTimeout, ClipTimeout, ChatError)):
            client(server, tmp_path)
        assert time.monotonic() - began < LIMIT_S + GRACE_S
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("large", LARGE)
def test_no_server_sends_a_client_more_than_it_asked_for(client, large, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "ANSWER_S", 10.0)
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 1_000_000)
    monkeypatch.setattr("test_http_client.LIMIT_S", 10.0)
    with OddServer(large) as server, pytest.raises(KinemaError, match=r"sends more than|encoded response"):
        client(server, tmp_path)
    assert not list(tmp_path.iterdir())
    assert all(headers["accept-encoding"] == "identity" for headers in server.headers)


@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_goes_where_a_redirect_leads(client, tmp_path):
    with OddServer({}) as other, OddServer(whole(b"", 302, Location=f"{other.address}/x")) as server:
        if client is bare:
            assert send_request("GET", server.address).status == 302
        elif client is fetched:
            assert download(server.address, tmp_path / "x", max_bytes=10) == 302
        else:
            with pytest.raises(KinemaError):
                client(server, tmp_path)
        assert other.asked == [] and not list(tmp_path.iterdir())


def test_an_origin_is_not_left_and_does_not_turn_into_this_network():
    bounds = Bounds("https://films.example/a", 10.0)
    bounds.begin("https://FILMS.example:443/b")
    for other in ("http://films.example/a", "https://films.example:8443/", "https://x.example/", "file:///etc/passwd",
                  "https://films.example@x.example/", "//films.example", "https://[", ""):  # fmt: skip
        with pytest.raises(HttpError):
            bounds.begin(other)
    bounds.check_peer("192.168.1.5")  # private from the beginning
    bounds.check_peer("93.184.216.34")
    for inside in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "fd00::1"):
        with pytest.raises(HttpError, match="was at a public address"):
            bounds.check_peer(inside)
    bounds.check_peer("2606:2800:220:1::1")


def test_the_time_of_an_exchange_is_shared_by_all_of_it():
    with OddServer(lambda handler: (time.sleep(0.3), whole(b"{}")(handler))) as server:
        bounds = Bounds(server.address, 0.5)
        assert send_request("GET", server.address, bounds=bounds).json("it") == {}
        with pytest.raises(HttpTimeout):
            send_request("GET", server.address, bounds=bounds)
        with pytest.raises(HttpTimeout):
            send_request("GET", server.address, bounds=bounds)  # refused before the request
        assert len(server.asked) == 2


def test_who_is_not_there_is_unreachable(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="cannot be reached"):
            send_request("GET", f"http://127.0.0.1:{free.getsockname()[1]}/", limit_s=5.0)
    with OddServer(hang_up) as server, pytest.raises(Unreachable):
        send_request("GET", server.address, limit_s=5.0)
    (tmp_path / "x").write_text("mine")
    with OddServer({}) as server, pytest.raises(FileExistsError):
        download(server.address, tmp_path / "x", max_bytes=10)
    assert (tmp_path / "x").read_text() == "mine"


def test_nothing_else_of_the_tree_asks_over_http():
    """Modules that import an HTTP library bypass the bounds; new clients must use http/client.py."""
    root, found = Path(kinema.__file__).parent, set()
    names = {"httpx", "httpx2", "requests", "aiohttp", "http.client", "urllib.request", "urllib3", "httpcore",
             "gradio_client", "ftplib", "websockets", "openai"}  # fmt: skip
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if not any(name.rpartition(".")[2] in text for name in names):
            continue
        for node in ast.walk(ast.parse(text)):
            modules = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import)
                else [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
                if isinstance(node, ast.ImportFrom) and not node.level else []
            )  # fmt: skip
            for module in modules:
                if any(module == name or module.startswith(f"{name}.") for name in names):
                    found.add((path.relative_to(root).as_posix(), module.split(".")[0]))
    assert found == {
        ("http/client.py", "httpx2"),
        ("http/jobs_client.py", "http"),  # with Bounds
        ("channel/making/spaces.py", "gradio_client"),  # with bounds_auth; see test_spaces.py
        ("channel/making/spaces.py", "httpx"),
    }


# Responses of another Kinema


SAID = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["state", "models", "reason", "result", "id", "x"]), inner, max_size=4
    ),
    max_leaves=8,
)  # fmt: skip
STATES = st.sampled_from(["queued", "running", "failed", "succeeded", "odd", "", None, 5, [], {}])


@pytest.fixture(scope="module")
def says():
    with OddServer({}) as server:
        yield server


@given(said=SAID, state=STATES)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_json_another_kinema_says_ends_in_a_kinema_error(says, tmp_path, said, state):
    remote_maker, order = RemoteMaker(job(says).model), job(says, space={"timeout_s": 0.05, "key_env": None})
    if isinstance(said, dict):
        said = said | {"state": state}
    says.answers[:] = [said]
    with pytest.raises(KinemaError):
        remote_maker.make(order, tmp_path / "clip.mp4")
    with pytest.raises(KinemaError):
        remote_maker.check(order)
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[" * 50_000, b"{", b"\xff\xfe", b'{"models":5}', b'{"models":["\\ud800"]}', b"NaN", b"<html>",
        b'{"models":[{"a":1}]}', b'{"id":"a1","state":"failed","reason":5}',
    ],
)  # fmt: skip
def test_bytes_that_are_no_answer(says, tmp_path, data):
    says.answers[:] = [whole(data)]
    for use in (lambda: RemoteMaker(job(says).model).check(job(says)), lambda: ordered(says, tmp_path)):
        with pytest.raises(KinemaError):
            use()


def test_what_another_kinema_says_cannot_steer_a_terminal(says, tmp_path):
    evil = "\x1b[2J\x1b]0;owned\x07 \u202e\nall is well"
    answers = [
        {"id": "a1", "state": "failed", "reason": evil}, whole(evil.encode(), 400), whole(evil.encode(), 503),
        {"state": evil}, {"id": "a1", "state": "succeeded", evil: evil}, {"models": [{"id": evil}]},
        whole(json.dumps({"error": evil, "legal": evil, "field": evil}).encode(), 422),
    ]  # fmt: skip
    for answer in answers:
        says.answers[:] = [answer]
        for use in (lambda: RemoteMaker(job(says).model).check(job(says)), lambda: ordered(says, tmp_path)):
            try:
                use()
            except KinemaError as error:
                text = str(error) + str(getattr(error, "legal", ""))
                assert "\x1b" not in text and "\u202e" not in text and "\x07" not in text, answer
                assert "\nall is well" not in text


def test_a_worker_that_is_away_for_a_while_costs_no_try(tmp_path, monkeypatch):
    """Its order is lost and sent again."""
    monkeypatch.setattr(remote, "AWAY_S", 60.0)
    monkeypatch.setattr(remote, "ANSWER_S", 5.0)

    waiting, running = ({"id": "a1", "state": state} for state in ("queued", "running"))
    answers = [
        waiting, hang_up, hang_up, whole(b"{}", 502), hang_up, whole(b"{}", 404), running,
        running | {"state": "failed", "reason": "it came as far as that"},
    ]  # fmt: skip
    with OddServer(*answers) as server:
        with pytest.raises(KinemaError, match="it came as far as that"):
            RemoteMaker(job(server).model, sleep=lambda _s: None).make(
                job(server, space={"timeout_s": 60.0, "key_env": None}), tmp_path / "clip.mp4"
            )
        posted = [number for number, (verb, _) in enumerate(server.asked) if verb == "POST"]
        assert len(posted) == 2
        keys = {server.headers[number]["idempotency-key"] for number in posted}
        assert len(keys) == 1 and server.bodies[posted[0]] == server.bodies[posted[1]]  # the same job again


def test_a_different_request_is_another_job(tmp_path):
    with OddServer({"id": "a1", "state": "failed", "reason": "no"}) as server:
        for prompt in ("a red ball", "a green car", "a red ball"):
            with pytest.raises(KinemaError, match="no"):
                RemoteMaker(job(server).model).make(job(server, prompt=prompt), tmp_path / "clip.mp4")
        keys = [headers["idempotency-key"] for headers in server.headers if "idempotency-key" in headers]
        retried = [path for verb, path in server.asked if verb == "POST" and path.endswith("/retry")]
        body = json.loads(server.bodies[0])["body"]
    assert keys[0] == keys[2] != keys[1] and all(key.startswith("t-e00001s01-") for key in keys)
    assert len(retried) == 3
    assert (body["model"], body["prompt"], body["seed"], body["profile"]) == ("toyland", "a red ball", 7, "fast")


def test_what_is_still_in_line_is_not_late(tmp_path):
    for state, kind in (("queued", Unavailable), ("running", ClipTimeout)):
        with OddServer({"id": "a1", "state": state}) as server, pytest.raises(Unavailable) as error:
            ordered(server, tmp_path)
        assert type(error.value) is kind
        assert server.asked[-1] == ("POST", "/jobs/a1/cancel")


def test_a_model_that_is_not_drawn_there_is_refused(says):
    says.answers[:] = [{"models": [{"id": "other"}, 5]}]
    with pytest.raises(RequestError, match="does not serve"):
        RemoteMaker(job(says).model).check(job(says))
