"""Shots that continue the previous one: order, stored frames, the seam, and cuts as a fallback."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from episode_of import plan
from shot_runner import THEME, ShotRunner

from kinema.channel.making import steps
from kinema.channel.making.continuity import Link, link_of
from kinema.channel.making.job import KNOWN_FRAMES, ShotOrder
from kinema.channel.making.kinds import name_of
from kinema.channel.making.ledger import Ledger
from kinema.channel.making.makers import Makers
from kinema.channel.making.producer import Producer
from kinema.channel.making.seam import in_whole_seconds, part
from kinema.core.chunk import Chunk
from kinema.media.manifest import read_manifest
from kinema.media.read import read_video
from kinema.media.write import write


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path) as found:
        yield found


def begun(ledger) -> str:
    shot = ledger.begin(THEME, "full", in_order=True)
    return shot.id if shot is not None else ""


def test_a_shot_that_goes_on_waits_for_the_one_before_it_and_others_do_not(ledger):
    ids = plan(ledger, THEME, ["cut", "continue", "continue", "match", "cut"])
    assert [begun(ledger) for _ in range(4)] == [ids[0], ids[3], ids[4], ""]
    ledger.end(ids[0], "published")
    assert begun(ledger) == ids[1]
    other = plan(ledger, THEME, ["cut"])
    assert begun(ledger) == other[0]
    ledger.end(ids[1], "aside", "it failed")
    assert begun(ledger) == ids[2]  # the previous shot is finished


def test_nobody_waits_where_the_model_cannot_go_on(ledger):
    ids = plan(ledger, THEME, ["cut", "continue"])
    assert [ledger.begin(THEME, "full").id for _ in ids] == ids


def test_links_follow_what_became_of_the_neighbours(ledger):
    first, second, third = plan(ledger, THEME, ["cut", "continue", "match"])
    (alone,) = plan(ledger, THEME, ["cut"])

    def link(id: str, able: bool = True) -> Link:
        return link_of(ledger, ledger.get(id), able)

    assert link(first) == Link(keeps=True)
    assert link(first, able=False) == link(third) == link(alone) == Link()
    ledger.end(first, "published")
    assert link(second) == Link(first, "", False)
    assert "cannot" in link(second, able=False).why_cut
    ledger.ban(first, "ugly")
    assert link(second) == Link(first, f"{first} was not published (banned)", False)
    ledger.ban(second, "ugly")
    assert link(first) == Link()  # no shot continues it now


def test_which_frames_go_on_air():
    assert in_whole_seconds(17, 8.0) == 16
    assert in_whole_seconds(81, 16.0) == 80
    assert in_whole_seconds(16, 8.0) == 16
    assert in_whole_seconds(13, 8.0) == 13  # more than half a second is not dropped
    assert in_whole_seconds(5, 24.0) == 5
    frames = np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    closed = []

    def source():
        try:
            yield from (Chunk(frames[at : at + 4], at, 8.0) for at in (0, 4, 8))
        finally:
            closed.append(True)

    got = list(part(source(), 5, 9))
    assert [chunk.start for chunk in got] == [0, 3]
    assert np.concatenate([chunk.frames for chunk in got])[:, 0, 0, 0].tolist() == [5, 6, 7, 8]
    assert closed


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((one.astype(float) - other.astype(float)) ** 2).mean()))


def test_the_miniature_goes_on_where_the_shot_before_it_ended(tmp_path):
    runner = ShotRunner(tmp_path, ["cut", "continue"])
    runner.begin()
    first = runner.step()
    assert first.kind == name_of("generate") and set(first.result) >= {"media", "tail"}
    tail = runner.file(first, "tail")
    old, fps = read_video(runner.file(first))
    assert np.array_equal(read_video(tail)[0], old[-KNOWN_FRAMES:])  # lossless
    assert len(old) == 2 * fps  # 17 frames would be held until the end of the third second
    runner.finish()
    assert runner.left() == [f"{runner.ids[0]} generate"]

    runner.begin()
    second = runner.step()
    assert second.result["goes_on"] and "why_cut" not in second.result
    request = ShotOrder.from_dict(second.body, tail=str(tail)).request()
    (condition,) = request.conditions
    assert (condition.kind, condition.clip, condition.frames) == ("continue", str(tail), KNOWN_FRAMES)
    new, _ = read_video(runner.file(second))
    assert len(new) == 2 * fps  # of 21, without the five context frames
    plan_of = read_manifest(runner.file(second))["plan"]
    assert plan_of["conditions"][0]["clip"] == second.body["tail"]
    assert any("frames 5 to 20 of 21" in note for note in plan_of["notes"])

    alone = runner.store.submit(second.kind, second.body | {"before": "", "tail": ""}, priority=1000)[0]  # as a cut
    cut, _ = read_video(runner.file(runner.step()))
    seam, jump = psnr(old[-1], new[0]), psnr(old[-1], cut[0])
    assert seam > jump + 3.0, (seam, jump)
    with runner.worker.engines.lease("kinema-mini-wan") as engine:
        whole = np.concatenate([chunk.frames for chunk in engine.stream(request)])
    assert min(psnr(*pair) for pair in zip(whole[:KNOWN_FRAMES], old[-KNOWN_FRAMES:])) > 22.0  # context frames,
    encoded = write(
        [Chunk(whole[KNOWN_FRAMES : KNOWN_FRAMES + len(new)], 0, fps)], tmp_path / "new.mp4", quality="best"
    )
    assert np.array_equal(read_video(encoded)[0], new)  # and only they are removed: the rest is the codec's loss

    runner.finish()
    assert [job.id for job in runner.store.list()] == [alone.id]
    clips = {clip.id: clip for clip in runner.library.ready()}
    assert list(clips) == runner.ids
    assert all(clip.frames == 48 for clip in clips.values())
    one, two = (clips[id].shot for id in runner.ids)
    assert (two["made_as"], two["goes_on_from"], two["known_frames"]) == ("continue", runner.ids[0], KNOWN_FRAMES)
    assert "made_as" not in one
    on_air = [read_video(clips[id].path)[0] for id in runner.ids]
    assert psnr(on_air[0][-1], on_air[1][0]) > 3.0 + jump  # at the channel's size and rate, too


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_SECONDS", "0")
    return tmp_path / "log"


def continuing(folder, continuities) -> ShotRunner:
    return ShotRunner(folder, continuities, model="python:fake_maker:FakeContinuer", tries=1)


def test_clips_that_go_on_are_shown_after_the_one_before_whatever_was_made_between(tmp_path, log):
    runner = continuing(tmp_path, ["cut", "continue", "cut"])
    assert [runner.begin(), runner.begin()] == [runner.ids[0], runner.ids[2]]
    runner.finish()
    runner.begin()
    runner.finish()
    assert [clip.id for clip in runner.library.ready()] == runner.ids
    assert "tail e00001s02 20\n" in log.read_text()


def test_last_frames_stay_as_long_as_the_next_shot_awaits_them(tmp_path, log, monkeypatch):
    runner = continuing(tmp_path, ["cut", "continue", "continue", "continue"])
    ids = runner.ids
    for number in range(2):
        runner.begin()
        published = runner.finish()[-1]
        assert published.result == {"state": "published"}
        # its own, and those that it went on from
        assert runner.left() == [f"{ids[number]} generate", *["media"] * number]
    monkeypatch.setenv("FAKE_POISON", ids[2])
    runner.begin()
    runner.finish()
    assert runner.ledger.get(ids[2]).state == "aside"
    assert runner.left() == []

    other = continuing(tmp_path / "other", ["cut", "continue"])
    other.begin()
    other.finish()
    other.ledger.ban(other.ids[1], "ugly")
    fresh = Producer(other.producer.config)  # after a restart
    fresh.dispatch.recall()
    fresh.dispatch.advance()
    assert other.left() == []


def test_a_shot_that_is_published_twice_is_in_the_library_once(tmp_path, log):
    runner = continuing(tmp_path, ["cut"])
    runner.begin()
    drawn = runner.step()
    body = drawn.body | {"clip": drawn.result["media"], "how": {"left_out": {}}}
    for _ in range(2):
        runner.store.submit(runner.producer.dispatch.kind_of("publish"), body, priority=1000)
    assert [job.result for job in runner.finish()] == [{"state": "published"}] * 2
    assert [clip.id for clip in runner.library.ready()] == runner.ids


@pytest.mark.parametrize("harm", ["gone", "damaged", "aside", "banned"])
def test_without_the_shot_before_it_it_is_a_cut(tmp_path, log, monkeypatch, harm):
    runner = continuing(tmp_path, ["cut", "continue"])
    if harm == "aside":
        monkeypatch.setenv("FAKE_POISON", runner.ids[0])
    runner.begin()
    drawn = runner.step()
    runner.finish()
    if harm == "gone":
        runner.store.delete(drawn.id)
        runner.store.media.drop_unused([drawn.result["tail"]])
    if harm == "damaged":
        runner.file(drawn, "tail").write_bytes(b"RIFF????WEBPnothing")
    if harm == "banned":
        runner.ledger.ban(runner.ids[0], "ugly")
    runner.begin()
    assert "why_cut" in runner.step().result
    runner.finish()
    assert "tail" not in log.read_text()
    shot = runner.library.get(runner.ids[1]).shot
    why = {"gone": "are missing", "damaged": "are missing", "aside": "(aside)", "banned": "(banned)"}[harm]
    assert shot["made_as"] == "cut"
    assert why in shot["why_cut"]
    assert "generate" not in " ".join(runner.left())


def test_a_model_that_cannot_go_on_makes_a_cut_and_keeps_nothing(tmp_path):
    makers = Makers()
    assert makers.can_continue("kinema-mini-wan")
    assert not makers.can_continue("kinema-mini-zeroscope")
    assert not makers.can_continue("space:somebody/else")
    assert not makers.can_continue("python:fake_maker:FakeMaker")
    runner = ShotRunner(tmp_path, ["cut", "continue"], model="toyland")
    assert [runner.begin(), runner.begin()] == runner.ids  # it does not wait
    drawn = {job.name: job.result for job in runner.finish()}
    assert all("tail" not in result for result in drawn.values())
    assert drawn[f"{runner.ids[1]} generate"]["why_cut"] == "the model cannot continue a clip"
    assert runner.left() == []


def test_a_clip_that_is_too_short_is_not_gone_on_from(tmp_path):
    clip, notes = tmp_path / "c.mp4", []
    write([Chunk(np.zeros((3, 32, 32, 3), np.uint8), 0, 8.0)], clip)
    context = SimpleNamespace(folder=tmp_path, note=notes.append)
    assert steps._tail(context, clip) == ""
    assert "3 frames" in notes[0] and [path.name for path in tmp_path.iterdir()] == ["c.mp4"]
