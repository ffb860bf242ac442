"""The public site: the page, playlists and segments, now and next, the guide, suggestions."""

from __future__ import annotations

import itertools
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from on_air import fast_playout, fill
from site_client import Noted, client

from kinema.channel.airing.clock import FastClock
from kinema.channel.library import Library
from kinema.channel.web import board as boards
from kinema.channel.web.audience import MOST, Audience
from kinema.channel.web.board import Board
from kinema.channel.web.site import site
from kinema.channel.web.site_media import with_dates, with_viewer
from kinema.http.rate_limit import RateLimit, client_network


@pytest.fixture(scope="module")
def aired(tmp_path_factory):
    """The folder of a channel that aired 16 s (clips 0 to 5 and repeats), and the time at the end."""
    folder, kept = tmp_path_factory.mktemp("aired"), tmp_path_factory.mktemp("kept") / "channel"
    fill(folder, 6, theme="sea", prompt="a red ball rolls left")
    playout = fast_playout(folder, FastClock())
    for _ in range(8):
        playout._air(playout.feed.take())
        playout.view.refresh()
    shutil.copytree(folder, kept)
    playout.close()
    return kept, playout.clock.wall()


@pytest.fixture
def on_air(aired, tmp_path):
    """A copy of that folder, and a board whose clock shows the time at the end."""
    folder, time_s = aired
    shutil.copytree(folder, tmp_path / "channel")
    return tmp_path / "channel", Board(tmp_path / "channel", "Test", wall=lambda: time_s)


def test_the_page_and_its_parts(tmp_path):
    asks = client(tmp_path)
    page = asks.get("/")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    named = set(re.findall(r'(?:src|href)="(/page/[^"]+)"', page.text))
    for name in ("controls.js", "player.js", "programme.js", "suggest.js"):
        named.add(f"/page/{name}")
    assert "/page/hls.light.min.js" in named
    for path in named:
        part = asks.get(path)
        assert part.status_code == 200, path
        assert part.headers["x-content-type-options"] == "nosniff"
    assert asks.get("/page/watch.js").headers["content-type"].startswith("text/javascript")
    tag = asks.get("/page/style.css").headers["etag"]
    assert asks.get("/page/style.css", headers={"if-none-match": tag}).status_code == 304


def test_the_page_asks_nobody_else_and_has_no_inline_code(tmp_path):
    asks = client(tmp_path)
    texts = {name: asks.get(f"/page/{name}").text for name in ("watch.js", "player.js", "programme.js", "style.css")}
    texts["/"] = asks.get("/").text
    for name, text in texts.items():
        assert not re.search(r"https?://|//[a-z]+\.[a-z]", text), name
    assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=|style=|javascript:", texts["/"])


def test_playlists_are_fresh_and_segments_are_kept(on_air):
    folder, _ = on_air
    asks = client(folder)
    channel = asks.get("/live.m3u8")
    assert channel.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert channel.headers["cache-control"] == "no-cache" and channel.headers["access-control-allow-origin"] == "*"
    live = asks.get("/" + channel.text.splitlines()[-1])
    assert live.status_code == 200 and live.headers["cache-control"] == "no-cache"
    segments = [line for line in live.text.splitlines() if not line.startswith("#")]
    assert len(segments) >= 6 and len(set(segments)) == len(segments)
    first = asks.get(f"/on_air/{segments[0]}")
    assert first.headers["content-type"] == "video/mp2t" and "immutable" in first.headers["cache-control"]
    assert first.content == (folder / "on_air" / segments[0].partition("?")[0]).read_bytes()
    assert asks.head(f"/on_air/{segments[0]}").headers["content-length"] == str(len(first.content))
    assert asks.get("/on_air/s999999999.ts").status_code == 404
    assert asks.get("/on_air/index.m3u8").text.splitlines()[-1].startswith("live.m3u8?viewer=")


def test_a_segments_address_says_when_it_was_made():
    """Otherwise a cache could return a segment of an earlier channel with the same number."""
    live = "#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:2026-05-04T12:00:00.500Z\n#EXTINF:2.000000,\ns000000007.ts\n"
    assert with_dates(live).splitlines()[-1] == "s000000007.ts?at=1777896000500"
    assert with_viewer("#EXTM3U\n#EXT-X-STREAM-INF:A\nlive.m3u8\n", "w", "on_air/").splitlines()[-1] == (
        "on_air/live.m3u8?viewer=w"
    )


def test_a_channel_that_was_never_on_air(tmp_path):
    asks = client(tmp_path)
    for path in ("/live.m3u8", "/on_air/live.m3u8"):
        assert asks.get(path).status_code == 503 and asks.get(path).headers["retry-after"] == "2"
    told = asks.get("/api/now").json()
    assert (told["on_air"], told["now"], told["next"]) == (False, None, None)
    assert ElementTree.fromstring(asks.get("/guide.xml").text).find("channel") is not None


def test_now_is_what_the_viewer_sees(on_air):
    folder, here = on_air
    with Library.open(folder) as library:
        lines = sorted(library.as_run(), key=lambda line: line.frame)
    asks = client(folder, board=here)
    for line, following in itertools.pairwise(lines):
        told = asks.get("/api/now", params={"at": line.at + 0.5}).json()
        assert told["now"]["id"] == line.id and told["now"]["prompt"] == "a red ball rolls left"
        assert told["next"]["id"] == following.id
    assert told["on_air"] and told["name"] == "Test" and len(told["recent"]) == 8
    iso = asks.get("/api/now", params={"at": "1970-01-01T00:00:00Z"}).json()
    assert iso["now"] is None and iso["at"] == 0
    for wrong in ("yesterday", "nan", "-1", "1e99"):
        assert asks.get("/api/now", params={"at": wrong}).status_code == 400


def test_what_is_banned_is_not_spoken_of(on_air):
    folder, here = on_air
    with Library.open(folder) as library:
        library.ban("clip0", "ugly")
    told = here.now()
    assert "Clip 0" not in str(told) and "Clip 1" in str(told)


def test_a_playout_that_is_gone_leaves_the_page_up(on_air):
    folder, here = on_air
    far = Board(folder, "Test", wall=lambda: here.wall() + 60)
    told = far.now()
    assert told["on_air"] is False and told["name"] == "Test" and len(told["recent"]) == 8
    asks = client(folder, board=far)
    assert asks.get("/").status_code == asks.get("/live.m3u8").status_code == 200


def test_a_library_that_goes_leaves_what_was_known(on_air, monkeypatch):
    folder, here = on_air
    before = here.now()["recent"]
    monkeypatch.setattr(boards, "LOOK_S", 0.0)
    (folder / "library.db").rename(folder / "gone.db")
    here.close()
    after = here.now()
    assert after["recent"] == before and here.look().trouble


def test_the_schedule_is_a_day_without_holes(tmp_path):
    rows = [["06:00", "20:00", "day"], ["20:00", "23:00", "evening"]]
    parts = client(tmp_path, schedule=rows, theme="night").get("/api/schedule").json()["parts"]
    assert {part["theme"] for part in parts} == {"day", "evening", "night"}
    assert all(
        one["end"] == other["begin"] and one["theme"] != other["theme"] for one, other in itertools.pairwise(parts)
    )
    assert parts[-1]["end"] - parts[0]["begin"] == 24 * 3600


def test_the_guide_says_what_comes(on_air):
    folder, here = on_air
    asks = client(folder, board=Board(folder, "Test", [["00:00", "12:00", "a.m. <fish>"]], "p.m.", wall=here.wall))
    root = ElementTree.fromstring(asks.get("/guide.xml").text)
    titles = [one.findtext("title") for one in root.findall("programme")]
    assert {"a.m. <fish>", "p.m."} <= set(titles)
    starts = [one.get("start") for one in root.findall("programme")]
    assert starts == sorted(starts) and asks.get("/guide.xml").headers["content-type"].startswith("application/xml")
    m3u = asks.get("/channel.m3u").text
    assert m3u.splitlines()[-1] == "http://localhost:8080/live.m3u8"
    assert 'url-tvg="http://localhost:8080/guide.xml"' in m3u


def test_viewers_are_counted_without_cookies(on_air):
    folder, _ = on_air
    asks = client(folder)
    assert asks.get("/api/viewers").json() == {"viewers": 0}
    channels = [asks.get("/live.m3u8") for _ in range(3)]
    assert not any("set-cookie" in answer.headers for answer in channels)
    for _ in range(2):
        for answer in channels:
            asks.get("/" + answer.text.splitlines()[-1])
    assert asks.get("/api/viewers").json() == {"viewers": 3}
    for agent in ("VLC", "VLC", "Kodi"):
        asks.get("/on_air/live.m3u8", headers={"user-agent": agent})
    assert asks.get("/api/viewers").json() == {"viewers": 5}


def test_viewers_leave():
    now = [0.0]
    audience = Audience(clock=lambda: now[0])
    audience.seen("a")
    now[0] = 6
    audience.seen("b")
    assert audience.count() == 2
    now[0] = 11
    assert audience.count() == 1
    for number in range(MOST + 10):
        audience.seen(str(number))
    assert audience.count() == MOST


def suggest(asks, theme, **more):
    return asks.post("/api/themes", json={"theme": theme}, **more)


def test_suggestions_are_moderated_and_kept(tmp_path):
    commands = Noted()
    asks = client(tmp_path, commands)
    assert (suggest(asks, "  a race of cars ").status_code, commands.asked) == (201, ["a race of cars"])
    refused = suggest(asks, "p0rn")
    assert refused.status_code == 422 and "blocked word" in refused.json()["error"]
    assert "porn" not in refused.text
    assert suggest(asks, "x" * 201).status_code == 422
    assert commands.asked == ["a race of cars"]


def test_suggestions_have_a_limit(tmp_path):
    now = [0.0]
    suggesting = RateLimit(each=2, all=3, per_s=600, clock=lambda: now[0])
    asks = client(tmp_path, suggesting=suggesting)
    assert [suggest(asks, "sea").status_code for _ in range(3)] == [201, 201, 429]
    assert suggest(asks, "sea").headers["retry-after"] == "600" and "10 min" in suggest(asks, "sea").json()["error"]
    other = client(tmp_path, suggesting=suggesting, address="203.0.113.8")
    assert [suggest(other, "sea").status_code for _ in range(2)] == [201, 429], "all together"
    now[0] = 601
    assert suggest(asks, "sea").status_code == 201


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"json": {"theme": 7}}, 400),
        ({"json": {}}, 400),
        ({"json": ["sea"]}, 400),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[" * 4000, "headers": {"content-type": "application/json"}}, 400),
        ({"data": {"theme": "sea"}}, 415),
        ({"content": b'{"theme": "sea"}', "headers": {"content-type": "text/plain"}}, 415),
        ({"content": b" " * 5000, "headers": {"content-type": "application/json"}}, 413),
    ],
)
def test_a_suggestion_that_is_none(tmp_path, how, status):
    commands = Noted()
    assert client(tmp_path, commands).post("/api/themes", **how).status_code == status
    assert commands.asked == []


def test_a_channel_that_takes_no_suggestions(tmp_path):
    asks = client(tmp_path, suggestions=False)
    assert suggest(asks, "sea").status_code == 403 and asks.get("/api/now").json()["suggestions"] is False


def test_a_client_network_is_an_address_or_a_64_network():
    assert client_network("203.0.113.7") == client_network("::ffff:203.0.113.7") == "203.0.113.7"
    assert client_network("2001:db8::1") == client_network("2001:db8::ffff") != client_network("2001:db8:0:1::1")
    assert client_network("testclient") == "testclient"


def test_unknown_paths_and_methods(tmp_path):
    asks = client(tmp_path)
    assert asks.get("/nothing").status_code == 404
    assert asks.post("/live.m3u8").status_code == asks.get("/api/themes").status_code == 405
    assert site(tmp_path, Noted()) is not None
