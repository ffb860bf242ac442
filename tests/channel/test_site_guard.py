"""Access control of the site: hosts, origins and the owner's token."""

from __future__ import annotations

import pytest
from running_channel import channel_file, config_of
from site_client import TOKEN, Noted, client

from kinema.channel.library import Library, LibraryClip
from kinema.channel.making.ledger import Ledger
from kinema.channel.web.commands import ChannelCommands
from kinema.channel.web.owner import TOKEN_ENV, token_from
from kinema.core.errors import ModelError, RequestError
from kinema.http import listening
from kinema.http.listening import address_of, check_can_serve, listen

OWNER = {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "path",
    [
        "/on_air/../library.db", "/on_air/%2e%2e/library.db", "/on_air/..%2flibrary.db", "/on_air/%2e%2e%2flibrary.db",
        "/on_air/..%5clibrary.db", "/on_air//etc/passwd", "/on_air/s000000001.ts/../../library.db", "/page/../site.py",
        "/page/..%2fsite.py", "/page/%2e%2e/owner.py", "/page//etc/passwd", "/on_air/.s000000001.ts.1.partial",
        "/on_air/s000000001.ts%00.txt", "/on_air/s00000001\u0661.ts", "/state/status.json", "/library.db",
    ],
)  # fmt: skip
def test_no_path_leads_out(tmp_path, path):
    Library.open(tmp_path).close()
    (tmp_path / "state" / "status.json").write_text("secret")
    (tmp_path / "on_air" / ".s000000001.ts.1.partial").write_text("secret")
    answer = client(tmp_path).get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text and "SQLite" not in answer.text and "root:" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "192.168.1.7", "[::1]:8080", "tv.example.org"])
def test_the_names_it_goes_by(tmp_path, host):
    assert client(tmp_path, names=("TV.example.org",)).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a@localhost", "localhost:80@evil", "[",
     "127.0.0.1:80.evil.example", "localhost:evil.example", "127.0.0.1:99999"],
)  # fmt: skip
def test_a_strangers_name_gets_nothing(tmp_path, host):
    """DNS rebinding."""
    commands = Noted()
    asks = client(tmp_path, commands)
    assert asks.get("/api/now", headers={"host": host}).status_code == 421
    assert asks.post("/api/skip", headers={"host": host, **OWNER}).status_code == 421
    assert commands.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_may_not_write(tmp_path, headers):
    """CSRF."""
    commands = Noted()
    asks = client(tmp_path, commands)
    assert asks.post("/api/themes", json={"theme": "sea"}, headers=headers).status_code == 403
    assert asks.post("/api/skip", headers={**headers, **OWNER}).status_code == 403
    assert commands.asked == []


def test_its_own_page_may(tmp_path):
    own = {"origin": "http://localhost:8080", "sec-fetch-site": "same-origin"}
    assert client(tmp_path).post("/api/themes", json={"theme": "sea"}, headers=own).status_code == 201


def test_every_answer_forbids_what_a_page_does_not_need(tmp_path):
    asks = client(tmp_path)
    answers = [asks.get("/"), asks.get("/nothing"), asks.get("/api/now"), asks.get("/", headers={"host": "evil"})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert "frame-ancestors 'self'" in policy and answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers and "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in asks.get("/api/status", headers=OWNER).headers


VERBS = [("GET", "status"), ("GET", "queue"), ("POST", "skip"), ("POST", "ban"), ("POST", "queue"), ("POST", "stop")]


@pytest.mark.parametrize(("method", "verb"), VERBS)
def test_the_owners_verbs_want_the_token(tmp_path, method, verb):
    commands = Noted()
    asks = client(tmp_path, commands)
    for said in (None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer \u00e4"):
        headers = {} if said is None else {"authorization": said.encode()}
        answer = asks.request(method, f"/api/{verb}", headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    off = client(tmp_path, commands, token=None).request(method, f"/api/{verb}", headers=OWNER)
    assert off.status_code == 403 and TOKEN_ENV in off.json()["error"]
    assert commands.asked == []


def test_the_token_cannot_be_guessed_at_leisure(tmp_path):
    asks = client(tmp_path)
    wrong = [asks.get("/api/status", headers={"authorization": f"Bearer {n}"}).status_code for n in range(12)]
    assert wrong == [401] * 10 + [429] * 2


def test_the_owner_cannot_be_locked_out(tmp_path):
    """Neither by requests without a token (which any page can make a browser send) nor by wrong tokens."""
    asks = client(tmp_path)
    for _ in range(30):
        assert asks.get("/api/status").status_code == 401
        assert asks.get("/api/status", headers={"authorization": " "}).status_code == 401
    assert asks.get("/api/status", headers={"authorization": "Bearer wrong"}).status_code == 401  # not limited yet
    for number in range(30):
        asks.get("/api/status", headers={"authorization": f"Bearer {number}"})
        assert asks.get("/api/status", headers=OWNER).status_code == 200
    assert asks.get("/api/status", headers={"authorization": "Bearer wrong"}).status_code == 429
    other = client(tmp_path, address="203.0.113.8")
    assert other.get("/api/status", headers={"authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"\\ud800"}', b'{"id":"a","reason":"\\udfff"}', b"[" * 2000, b"NaN", b"\xff", b"[]", b'{"id":{"a":1}}',
        b'{"theme":"\\ud83d"}', b"",
    ],
)  # fmt: skip
def test_no_body_ends_in_a_fault_of_the_site(tmp_path, data):
    config = config_of(channel_file(tmp_path))
    Library.open(config.root).close()
    asks = client(config.root, ChannelCommands(config))
    for path in ("ban", "queue", "themes"):
        answer = asks.post(f"/api/{path}", content=data, headers={**OWNER, "content-type": "application/json"})
        assert answer.status_code in (400, 422) and answer.json()["error"]


def test_the_owner_does_as_he_likes(tmp_path):
    commands = Noted()
    asks = client(tmp_path, commands)
    assert asks.get("/api/status", headers=OWNER).json() == {"title": "Test"}
    assert asks.get("/api/queue", headers=OWNER).json()["queued"] == []
    assert asks.post("/api/skip", headers=OWNER).json() == {"skip": True}
    assert asks.post("/api/ban", json={"id": "a", "reason": "ugly"}, headers=OWNER).status_code == 200
    assert asks.post("/api/queue", json={"id": "b", "place": 0}, headers=OWNER).status_code == 200
    assert asks.post("/api/queue", json={"id": "gone"}, headers=OWNER).status_code == 422
    assert asks.post("/api/stop", headers=OWNER).status_code == 202
    assert commands.asked == ["skip", ("ban", "a", "ugly"), ("put", "b", 0), "stop"]
    for path, wrong in (("ban", {}), ("ban", {"id": 1}), ("queue", {"id": "b", "place": -1}), ("queue", {"place": 0}),
                        ("queue", {"id": "b", "place": True}), ("ban", {"id": "a", "reason": "x" * 501})):  # fmt: skip
        assert asks.post(f"/api/{path}", json=wrong, headers=OWNER).status_code == 400


def test_a_token_is_long_and_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    with pytest.raises(RequestError, match="at least 16"):
        client(tmp_path, token="short")
    monkeypatch.delenv(TOKEN_ENV, raising=False)
    assert token_from() is None
    monkeypatch.setenv(TOKEN_ENV, TOKEN)
    assert token_from() == TOKEN
    (tmp_path / "token").write_text("of-the-file-and-long\n")
    assert token_from(tmp_path / "token") == "of-the-file-and-long"
    with pytest.raises(RequestError, match="token file"):
        token_from(tmp_path / "none")


def test_verbs_reach_the_channel(tmp_path):
    config = config_of(channel_file(tmp_path))
    with Library.open(config.root) as library:
        for id in ("e00001s01", "e00001s02"):
            path = library.clip_path(id)
            path.write_bytes(b"clip")
            library.add(LibraryClip(id, path, "Title", frames=8, fps=8.0))
    asks = client(config.root, ChannelCommands(config))
    assert asks.get("/api/status", headers=OWNER).json()["library"]["ready"] == 2
    assert asks.post("/api/queue", json={"id": "e00001s02"}, headers=OWNER).json() == {"queue": ["e00001s02"]}
    assert asks.get("/api/queue", headers=OWNER).json()["queued"][0]["id"] == "e00001s02"
    assert asks.post("/api/ban", json={"id": "e00001s02"}, headers=OWNER).json()["state"] == "banned"
    assert asks.post("/api/ban", json={"id": "nothing"}, headers=OWNER).status_code == 422
    assert asks.post("/api/skip", headers=OWNER).json() == {"skip": True}
    assert asks.post("/api/stop", headers=OWNER).status_code == 202
    with Library.open(config.root) as library:
        assert library.queue == [] and library.take_skip()
    assert asks.post("/api/themes", json={"theme": "a race of cars"}).json() == {"waiting": 1}
    with Ledger(config.root) as ledger:
        assert ledger.suggested()[1] == "a race of cars"


def test_an_address_that_is_taken_is_refused():
    first = listen("127.0.0.1", 0)
    try:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}/"
        with pytest.raises(RequestError, match="Cannot listen"):
            listen("127.0.0.1", port)
        with pytest.raises(RequestError, match="Cannot listen"):
            listen("203.0.113.250", 0)
        with pytest.raises(RequestError, match="port: 70000"):
            listen("127.0.0.1", 70000)
    finally:
        first.close()


def test_a_page_without_its_packages_is_refused_with_what_to_do(monkeypatch):
    check_can_serve("A page", "channel")
    monkeypatch.setattr(listening.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"starlette and uvicorn: .* -m pip install .*\[channel\]'"):
        check_can_serve("A page", "channel")


def test_a_server_of_an_older_installation_says_what_it_lacks(monkeypatch):
    """Without them, ComfyUI's page would wait forever."""
    monkeypatch.setattr(
        listening.importlib.util, "find_spec", lambda name: None if name in ("websockets", "blake3") else name
    )
    check_can_serve("A page", "channel")
    with pytest.raises(ModelError, match=r"kinema serve requires websockets and blake3: .*\[server\]'"):
        check_can_serve("kinema serve", "server")
