"""Guide, playlist, schedule and programme."""

from __future__ import annotations

import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest
from on_air import fast_playout, fill

from kinema.channel.airing import guide
from kinema.channel.airing.playlist import ffconcat, write_playlist
from kinema.channel.airing.programme import Policy, Programme
from kinema.channel.day_parts import DayParts
from kinema.channel.library import Aired, Library, LibraryClip
from kinema.core.errors import RequestError


def line(at, id="a", kind="fresh", theme="sea", frames=48, title="Title"):
    return Aired(at, id, kind, title, theme, round(at * 24), frames, 24.0)


def test_now_and_next_and_the_title_at_a_viewers_time(tmp_path):
    fill(tmp_path, 3, theme="sea")
    playout = fast_playout(tmp_path)
    for _ in range(3):
        playout._air(playout.feed.take())
    playout.view.refresh()
    with Library.open(tmp_path) as library:
        state = guide.now_next(tmp_path, library)
        lines = library.as_run()
        assert state["on_air"] and state["name"] == "Test" and state["now"]["id"] == "clip2"
        assert [entry["id"] for entry in state["recent"]] == ["clip2", "clip1", "clip0"]
        first = state["recent"][-1]["at"]
        assert [guide.on_at(lines, first + s).id for s in (0, 1.9, 2.0, 5.9)] == ["clip0", "clip0", "clip1", "clip2"]
        assert guide.on_at(lines, first - 1) is None and guide.on_at(lines, first + 100) is None
        playout.close()
        assert guide.now_next(tmp_path, library)["on_air"] is False


def test_a_skipped_clip_ends_where_the_next_begins():
    lines = [line(100, "a", frames=240), line(102, "b")]
    assert guide.on_at(lines, 101).id == "a" and guide.on_at(lines, 103).id == "b"


def test_the_television_guide_is_xmltv(tmp_path):
    lines = [line(float(t), f"s{t}", theme="the <sea>", title=f"Boat & {t % 3}") for t in range(0, 600, 2)]
    lines += [line(600.0, "filler", "filler", ""), line(602.0, "x", theme="short")]
    lines += [line(float(t), f"c{t}", theme="city") for t in range(604, 1204, 2)]
    text = guide.xmltv("ch1", 'Sea "TV" & more', lines, icon="http://h/i.png")
    root = ElementTree.fromstring(text)
    assert root.find("channel").get("id") == "ch1" and root.find("channel/display-name").text == 'Sea "TV" & more'
    found = root.findall("programme")
    assert [one.find("title").text for one in found] == ["the <sea>", "city"]
    assert found[0].get("start") == "19700101000000 +0000" and found[0].get("stop") == found[1].get("start")
    assert found[0].find("desc").text.startswith("Boat & 0, Boat & 2, Boat & 1")
    assert ElementTree.fromstring(guide.xmltv("c", "C", [])).findall("programme") == []


def test_the_m3u_names_channel_and_guide():
    text = guide.m3u("ch1", 'Sea, "TV"\n', "http://h/index.m3u8", guide_url="http://h/guide.xml")
    assert text.splitlines() == [
        '#EXTM3U url-tvg="http://h/guide.xml"',
        '#EXTINF:-1 tvg-id="ch1" tvg-name="Sea, \'TV\'" group-title="Kinema",Sea  \'TV\'',
        "http://h/index.m3u8",
    ]


def test_ffmpeg_plays_the_playlist(tmp_path):
    clips = fill(tmp_path / "it's a channel", 3)
    clips[1].path.unlink()
    path = tmp_path / "list.ffconcat"
    assert write_playlist(path, clips) == [clips[0], clips[2]]
    assert path.read_text().count("file ") == 2 and ffconcat([]) == "ffconcat version 1.0\n"
    if shutil.which("ffmpeg") is None:
        pytest.skip("cannot start ffmpeg")
    command = ["ffmpeg", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(path), "-c", "copy", "-f", "null", "-"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_day_parts_say_the_theme_of_the_hour():
    parts = DayParts.parse([["06:00", "09:30", "sea"], ["22:00", "06:00", "night"], ["09:00", "12:00", "city"]])

    def at(hour, minute):
        return parts.theme_at(time.mktime((2026, 5, 4, hour, minute, 0, 0, 0, -1)))

    assert [at(6, 0), at(9, 15), at(9, 30), at(12, 0), at(23, 0), at(5, 59)] == [
        "sea", "sea", "city", None, "night", "night",
    ]  # fmt: skip
    for row in (["6:00", "07:00", "x"], ["06:00", "24:00", "x"], ["06:00", "07:00", ""], ["06:00", "07:00"]):
        with pytest.raises(RequestError, match="day part"):
            DayParts.parse([row])


def view_of(clips, queue=()):
    snapshot = SimpleNamespace(ready={clip.id: clip for clip in clips}, queue=queue, recent=())
    return SimpleNamespace(snapshot=snapshot, take_queued=lambda: None)


def clip(tmp_path, id, **more):
    return LibraryClip(id, tmp_path / id, id, frames=48, **more)


def shown(programme, num, begin=0.0):
    choices = [programme.next(begin + 2 * k) for k in range(num)]
    return [choice.clip.id if choice.clip else "-" for choice in choices]


def test_repeats_keep_apart_and_no_two_rounds_are_alike(tmp_path):
    clips = [clip(tmp_path, f"c{k}", aired=1, last_aired=float(k)) for k in range(12)]
    order = shown(Programme(view_of(clips), Policy(apart=6, seed=3)), 60, 100.0)
    for k in range(7, 60):
        assert order[k] not in order[k - 6 : k], "none of the last six again"
    assert order[:12] != order[12:24] and set(order) == {one.id for one in clips}
    assert order == shown(Programme(view_of(clips), Policy(apart=6, seed=3)), 60, 100.0)
    assert order != shown(Programme(view_of(clips), Policy(apart=6, seed=4)), 60, 100.0)


def test_the_theme_of_the_hour_comes_first(tmp_path):
    clips = [clip(tmp_path, f"{theme}{k}", theme=theme) for k in range(3) for theme in ("sea", "city")]
    programme = Programme(view_of(clips), Policy(apart=1), lambda now: "city" if now < 100 else "sea")
    order = shown(programme, 6)
    assert [id[:4] for id in order] == ["city"] * 3 + ["sea0", "sea1", "sea2"], "new clips first"
    assert all(id.startswith("city") for id in shown(programme, 10, 20.0))
    assert all(id.startswith("sea") for id in shown(programme, 10, 200.0))

    def broken(now):
        raise ValueError("no schedule")

    assert shown(Programme(view_of(clips), Policy(), broken), 1) != ["-"]


def test_the_ident_is_shown_as_often_as_asked(tmp_path):
    clips = [clip(tmp_path, f"c{k}") for k in range(6)]
    order = shown(Programme(view_of(clips), Policy(apart=2, ident_every_s=20.0)), 33)
    assert [k for k, id in enumerate(order) if id == "-"] == [10, 20, 30]
