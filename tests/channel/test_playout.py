"""The playout on an accelerated clock: one seamless stream, whatever happens to the library."""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
import time
from datetime import datetime

import pytest
from on_air import SMALL, Collector, deltas, fast_playout, fill, picture, receive

from kinema.channel.airing import guide
from kinema.channel.airing.clock import FastClock
from kinema.channel.airing.output_hls import HlsSettings
from kinema.channel.airing.programme import Policy
from kinema.channel.conform import Encoding, conform
from kinema.channel.library import Library, LibraryClip
from kinema.channel.lock import ChannelBusy
from kinema.channel.state_file import write_state

KEEP_ALL = HlsSettings(listed=200)
VIDEO, AUDIO = 3750, 1920  # 24 fps and 1024 samples of 48 kHz, in ticks of 90 kHz


def collected(folder):
    collector = Collector(folder)
    collector.look()
    return collector


def test_thirty_seams_are_one_stream(tmp_path):
    fill(tmp_path, 5)
    fast_playout(tmp_path, hls=KEEP_ALL).run(until_frame=24 * 62)
    collector = collected(tmp_path)
    got = receive(collector.stream())
    with Library.open(tmp_path) as library:
        log = library.as_run()[::-1]
    assert len(log) >= 31 and [line.kind for line in log[:6]] == ["fresh"] * 5 + ["repeat"]
    assert deltas(got.video) == {VIDEO} and deltas(got.audio) == {AUDIO}
    assert (got.corrupt, got.errors) == (0, 0)
    assert got.frames == len(got.video) == 24 * 62 and not collector.jumps
    for line in log[:-1]:  # the log matches the picture
        seen = set(got.levels[line.frame : line.frame + line.frames])
        want = (int(line.id.removeprefix("clip")) + 1) * 20
        assert all(abs(level - want) <= 2 for level in seen), (line, seen)
    dates = list(collector.dates.values())
    assert len(set(dates)) == len(dates) == 31


def test_an_empty_channel_shows_its_ident_and_the_first_clip_comes_soon(tmp_path, quick_sound):
    playout = fast_playout(tmp_path, hls=KEEP_ALL)
    playout.view.refresh()
    for _ in range(2):
        playout._air(playout.feed.take())
    fill(tmp_path, 1)
    playout.view.refresh()
    playout.run(until_frame=playout.frame + 24 * 12)
    with Library.open(tmp_path) as library:
        kinds = [line.kind for line in library.as_run()[::-1]]
    assert kinds[:5] == ["filler", "filler", "fresh", "filler", "repeat"], "a single clip alternates with the ident"
    got = receive(collected(tmp_path).stream())
    assert deltas(got.video) == {VIDEO} and got.errors == 0


@pytest.mark.parametrize("harm", ["deleted", "truncated", "empty", "other encoding", "damaged inside", "replaced"])
def test_a_clip_that_is_harmed_after_it_was_added_never_reaches_the_air(tmp_path, harm, quick_sound):
    clips = fill(tmp_path, 3)
    path = clips[1].path
    data = path.read_bytes()
    if harm == "deleted":
        path.unlink()
    elif harm == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "other encoding":
        other = Encoding(width=128, height=64, fps=24, gop=24)
        made = conform(picture(1, 2, other), path, other)
        with Library.open(tmp_path) as library, sqlite3.connect(library.file) as db:
            db.execute("UPDATE clips SET sha256 = ? WHERE id = 'clip1'", (made.sha256,))  # even if the hash agrees
    elif harm == "damaged inside":
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 255]) + data[-8:])
    else:
        path.write_bytes(clips[2].path.read_bytes())
    fast_playout(tmp_path, hls=KEEP_ALL).run(until_frame=24 * 12)
    with Library.open(tmp_path) as library:
        found = library.get("clip1")
        assert (found.state, found.aired) == ("broken", 0) and found.reason
        assert "clip1" not in [line.id for line in library.as_run()]
    got = receive(collected(tmp_path).stream())
    assert deltas(got.video) == {VIDEO} and (got.errors, got.corrupt) == (0, 0)
    assert not {level for level in got.levels if abs(level - 40) < 3}


def test_all_clips_broken_is_filler_not_silence(tmp_path, quick_sound):
    for clip in fill(tmp_path, 3):
        clip.path.unlink()
    fast_playout(tmp_path, hls=KEEP_ALL).run(until_frame=24 * 12)
    with Library.open(tmp_path) as library:
        assert library.counts()["broken"] == 3 and {line.kind for line in library.as_run()} == {"filler"}


def test_a_second_playout_is_refused(tmp_path):
    first = fast_playout(tmp_path)
    with pytest.raises(ChannelBusy, match=r"already on air \(playout, process \d+\)"):
        fast_playout(tmp_path)
    first.close()
    fast_playout(tmp_path).close()


def test_a_restart_goes_on_with_the_next_frame(tmp_path):
    fill(tmp_path, 3, seconds=3)
    clock = FastClock()
    first = fast_playout(tmp_path, clock, hls=KEEP_ALL)
    first.run(until_frame=24 * 9)  # ends within a segment, which is sent again
    clock.sleep(2.5)
    second = fast_playout(tmp_path, clock, hls=KEEP_ALL)
    assert second.frame == 24 * 8
    began = clock.steady() - 11.5  # nine seconds with one of lead, then a gap of 2.5
    second.run(until_frame=24 * 30)
    assert clock.steady() - began == pytest.approx(second.frame / 24, abs=0.1), "the gap is filled at once"
    collector = collected(tmp_path)
    got = receive(collector.stream())
    assert deltas(got.video) == {VIDEO} and deltas(got.audio) == {AUDIO} and not collector.jumps
    assert (got.corrupt, got.errors) == (0, 0) and sorted(collector.data) == list(range(16))
    assert second.late == 0 and second.jumps == 0


@pytest.mark.parametrize("gone", ["after a night", "other machine run", "state lost", "other encoding"])
def test_a_late_restart_never_goes_back(tmp_path, gone, quick_sound):
    fill(tmp_path, 3)
    clock = FastClock()
    fast_playout(tmp_path, clock, hls=KEEP_ALL).run(until_frame=24 * 10)
    clock.sleep(30_000.0)
    more = {}
    if gone == "other machine run":
        clock = FastClock(steady=5.0, wall=clock.wall(), boot="another")
    elif gone == "state lost":
        (tmp_path / "state" / "hls.json").write_bytes(b"{")
    playout = fast_playout(tmp_path, clock, hls=KEEP_ALL, **more)
    if gone == "other encoding":
        playout.close()
        from kinema.channel.airing.playout import Playout, PlayoutSettings

        other = Encoding(width=128, height=64, fps=24, gop=24, preset="ultrafast")
        playout = Playout(tmp_path, PlayoutSettings(encoding=other, hls=KEEP_ALL), clock)
    playout.run(until_frame=playout.frame + 24 * 10)
    collector = collected(tmp_path)
    if gone == "state lost":
        assert min(collector.data) == 5 and collector.jumps == {5}
    else:
        assert sorted(collector.data) == list(range(len(collector.data))) and len(collector.data) >= 10
        assert collector.jumps == ({5} if gone == "other encoding" else set())
        if gone != "other encoding":
            assert deltas(receive(collector.stream()).video) == {VIDEO}
    assert collector.dates[9 if gone != "state lost" else 5] > "2027-01-15T08:"


def test_a_clock_that_is_set_changes_dates_and_nothing_else(tmp_path, quick_sound):
    fill(tmp_path, 3)
    clock = FastClock()
    playout = fast_playout(tmp_path, clock, hls=KEEP_ALL)
    began = clock.steady()
    for _ in range(6):
        playout._air(playout.feed.take())
    clock.set_wall(3600)
    playout.run(until_frame=24 * 24)
    assert clock.steady() - began == pytest.approx(23, abs=0.1) and playout.late == 0 and playout.jumps == 0
    collector = collected(tmp_path)
    got = receive(collector.stream())
    assert deltas(got.video) == {VIDEO} and not collector.jumps
    hours = {date[11:13] for date in collector.dates.values()}
    assert hours == {"08", "09"} and list(collector.dates) == sorted(collector.dates)


def test_a_clock_that_is_set_forth_and_back_is_followed_by_dates_and_guide_alike(tmp_path, quick_sound):
    fill(tmp_path, 3, seconds=4)
    clock = FastClock()
    playout = fast_playout(tmp_path, clock, hls=KEEP_ALL)
    for step in (0, 3600, -3600):
        clock.set_wall(step)
        for _ in range(5):
            playout._air(playout.feed.take())
            playout.view.refresh()
    assert playout.late == 0 and playout.jumps == 0
    segments = {one.number: one.frame for one in playout.hls.segments}
    playout.close()
    dates = {n: datetime.fromisoformat(date).timestamp() for n, date in collected(tmp_path).dates.items()}
    steps = [dates[n + 1] - dates[n] for n in sorted(dates)[:-1]]
    jumped = [round(step) for step in steps if abs(step - 2) > 0.01]
    assert jumped == [3602, -3598], "only the clock changes are jumps"
    with Library.open(tmp_path) as library:
        lines = library.as_run()
    for number, frame in segments.items():
        line = guide.on_at(lines, dates[number] + 0.01)
        assert line is not None and line.frame <= frame < line.frame + line.frames, "the guide matches the segment"
    ordered = guide.in_order(lines)
    assert [line.frame for line in ordered] == [96 * k for k in range(15)]
    assert all(b.at > a.at for a, b in itertools.pairwise(ordered))
    assert ordered[-1] in lines and ordered[5].at != lines[-6].at, "airings before the change are redated"


def test_an_hour_without_the_generator_is_repeats_then_filler_and_what_is_new_comes_first(tmp_path, quick_sound):
    fill(tmp_path, 4)
    playout = fast_playout(tmp_path, hls=None, policy=Policy(apart=2))

    def air(frames):
        end, shown = playout.frame + frames, []
        while playout.frame < end:
            playout.view.refresh()
            playout._air(playout.feed.take())
            shown.append((playout.on_air.kind, playout.on_air.id))
        return shown

    began = playout.clock.steady()
    assert {kind for kind, _ in air(4 * 48)} == {"fresh"}
    repeats = air(24 * 2400)
    assert {kind for kind, _ in repeats} == {"repeat"} and len({id for _, id in repeats}) == 4
    assert all(len({id for _, id in repeats[k : k + 3]}) == 3 for k in range(len(repeats) - 2))
    with Library(tmp_path) as library:
        for clip in library.ready():
            library.ban(clip.id, "taken out for room")
    assert {kind for kind, _ in air(24 * 1200)} == {"filler"}
    with Library.open(tmp_path) as library:
        for number in (0, 1, 2, 3):
            library.allow(f"clip{number}")
        made = conform(picture(5, 2), library.clip_path("new"), SMALL)
        library.add(LibraryClip.of("new", made, "New"))
    assert air(96)[0] == ("fresh", "new")
    assert playout.late == 0 and playout.jumps == 0
    assert playout.clock.steady() - began == pytest.approx(playout.frame / 24 - 1, abs=0.1)
    playout.close()


def test_the_database_may_be_locked_or_gone_for_half_a_minute(tmp_path, quick_sound):
    fill(tmp_path, 4)
    playout = fast_playout(tmp_path, hls=KEEP_ALL)
    playout._air(playout.feed.take())
    playout.view.refresh()
    other = sqlite3.connect(tmp_path / "library.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    playout._air(playout.feed.take())
    for _ in range(3):
        playout.view.refresh()
        for _ in range(5):
            playout._air(playout.feed.take())  # thirty seconds of programme
    assert "locked" in playout.view.trouble and playout.status()["notes_waiting"] >= 30
    other.execute("ROLLBACK")
    other.close()
    playout.view.refresh()
    assert playout.view.trouble == "" and not playout.view.writes
    moved = tmp_path / "away"
    (tmp_path / "library.db").rename(moved)
    for _ in range(3):
        playout.view.refresh()
        for _ in range(5):
            playout._air(playout.feed.take())
    assert "library.db not found" in playout.view.trouble and playout.status()["stock"] == 4
    assert not (tmp_path / "library.db").exists(), "an empty library in its place would hide the clips"
    moved.rename(tmp_path / "library.db")
    playout.view.refresh()
    playout.close()
    with Library.open(tmp_path) as library:
        log = library.as_run(1000)
    assert len(log) == 32 and {line.kind for line in log} == {"fresh", "repeat"}
    assert [line.frame for line in log[::-1]] == [48 * k for k in range(32)], "every airing is in the log, once"


def test_a_start_with_a_locked_database_and_a_damaged_ident(tmp_path, quick_sound):
    fill(tmp_path, 2)
    fast_playout(tmp_path).close()
    ident = next((tmp_path / "filler").glob("ident-*.mp4"))
    whole = ident.read_bytes()
    ident.write_bytes(whole[:1000])
    other = sqlite3.connect(tmp_path / "library.db", isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    playout = fast_playout(tmp_path, hls=KEEP_ALL)
    assert time.monotonic() - began < 20 and ident.read_bytes() == whole
    playout._air(playout.feed.take())
    assert playout.on_air.kind == "filler" and "locked" in playout.view.trouble
    other.execute("COMMIT")
    other.close()
    playout.view.refresh()
    playout._air(playout.feed.take())
    assert playout.on_air.kind == "fresh"
    playout.close()


def test_the_owner_skips_queues_and_bans(tmp_path, quick_sound):
    fill(tmp_path, 4, seconds=6)
    playout = fast_playout(tmp_path, hls=KEEP_ALL)
    with Library.open(tmp_path) as library:
        library.insert("clip3"), library.insert("clip2")
        playout.view.refresh()
        first = playout.feed.take()
        library.request_skip()
        playout.view.refresh()
        playout._air(first)
        assert playout.frame == 24, "it ends at its first keyframe"
        library.ban("clip0", "no")
        playout.view.refresh()
        playout.run(until_frame=24 * 60)
        log = library.as_run()[::-1]
    assert [line.id for line in log[:2]] == ["clip3", "clip2"] and log[0].kind == "queued"
    assert "clip0" not in [line.id for line in log] and library_is_empty_of_queue(tmp_path)
    got = receive(collected(tmp_path).stream())
    assert deltas(got.video) == {VIDEO} and got.errors == 0


def library_is_empty_of_queue(folder):
    with Library.open(folder) as library:
        return library.queue == []


def test_status_says_what_is_on_air(tmp_path):
    fill(tmp_path, 2, theme="sea")
    playout = fast_playout(tmp_path)
    playout._air(playout.feed.take())
    status = json.loads((tmp_path / "state" / "status.json").read_text())
    assert status["clip"]["id"] == "clip0" and status["clip"]["theme"] == "sea" and status["frame"] == 48
    assert status["outputs"][0]["state"] == "on air" and status["stock"] == 2 and status["library"] == "ok"
    playout.close()
    assert not (tmp_path / "state" / "status.json").exists()


def test_hours_leave_no_gap_and_nothing_grows(tmp_path, quick_sound):
    """The short form of benchmarks/channel_soak.py: some minutes over the wrap of MPEG-TS's 33 bits."""
    fill(tmp_path, 6)
    clock = FastClock()
    before = 2**33 // VIDEO // 24 - 30  # seconds
    state = {
        "segments": [], "next_number": 500, "next_frame": before * 24, "left_discontinuities": 0, "counters": {},
        "timeline": {"steady": clock.steady() - before, "wall": clock.wall() - before, "boot": clock.boot, "fps": 24.0},
    }  # fmt: skip
    write_state(tmp_path / "state" / "hls.json", state)
    playout = fast_playout(tmp_path, clock, policy=Policy(apart=3))
    collector, stop = Collector(tmp_path), playout.frame + 24 * 100
    threads = set(threading.enumerate())
    while playout.frame < stop:
        playout._air(playout.feed.take())
        playout.view.refresh()
        collector.look()
    playout.close()
    collector.look()
    assert collector.sequences == sorted(collector.sequences) and list(collector.data) == list(range(500, 550))
    assert len(list((tmp_path / "on_air").iterdir())) <= 28 and not set(threading.enumerate()) - threads
    got = receive(collector.stream())
    assert deltas(got.video) == {VIDEO} and deltas(got.audio) == {AUDIO} and got.errors == 0
    assert playout.late == 0 and got.frames == 24 * 100
