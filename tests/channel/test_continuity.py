"""Shots that go on from the one before them: order, what is kept, the seam, and cuts where it cannot be done."""

from __future__ import annotations

import numpy as np
import pytest
from episode_of import plan

from kinema.channel.config import ChannelConfig, Making, Picture
from kinema.channel.library import Library
from kinema.channel.making import steps
from kinema.channel.making.continuity import Link, link_of, sweep
from kinema.channel.making.job import KNOWN_FRAMES, ShotOrder
from kinema.channel.making.ledger import Ledger
from kinema.channel.making.makers import can_continue, maker
from kinema.channel.making.planning import job_of
from kinema.channel.making.seam import in_whole_seconds, part
from kinema.channel.making.work_files import TAIL, FolderFiles
from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError
from kinema.media.manifest import read_manifest
from kinema.media.read import probe, read_video
from kinema.media.write import write

THEME = "a ball on a meadow"


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
    assert begun(ledger) == ids[2]  # nothing to wait for any more


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
    assert link(first) == Link()  # nobody goes on from it now


def test_last_frames_that_nobody_waits_for_are_swept(ledger, tmp_path):
    files = FolderFiles(tmp_path / "work")
    ids = plan(ledger, THEME, ["cut", "continue", "continue", "cut"])
    for id in ids:
        for step in ("generate", TAIL):
            (tmp_path / "x").write_bytes(b"frames")
            files.put(f"t-{id}", step, tmp_path / "x")
        files.drop(f"t-{id}", keep=TAIL)
    ledger.end(ids[0], "published")
    ledger.end(ids[1], "published")
    begun(ledger)
    begun(ledger)
    assert sweep(ledger, files, "t") == [ids[0]]  # the next of the second is being made, and the others themselves
    ledger.ban(ids[2], "ugly")
    ledger.end(ids[3], "published")
    assert sweep(ledger, files, "t") == ids[1:]
    assert list((tmp_path / "work").iterdir()) == []


def test_which_frames_go_on_air():
    assert in_whole_seconds(17, 8.0) == 16
    assert in_whole_seconds(81, 16.0) == 80
    assert in_whole_seconds(16, 8.0) == 16
    assert in_whole_seconds(13, 8.0) == 13  # more than half a second is not thrown away
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


class OrderQueue:
    """An episode of shots, made step by step as the producer would."""

    def __init__(self, folder, continuities, **making) -> None:
        picture = Picture(width=64, height=64)
        config = ChannelConfig(folder=str(folder), theme=THEME, picture=picture, making=Making(**making))
        self.channel = steps.Channel(config, Ledger(folder), Library.open(folder))
        self.workspace = steps.Workspace("", folder / "work" / "scratch")
        self.folder = folder
        self.ids = plan(self.channel.ledger, THEME, continuities, seconds=2.0)

    def begin(self) -> dict:
        config, ledger = self.channel.config, self.channel.ledger
        able = can_continue(config.making.model)
        shot = ledger.begin(THEME, "draft", in_order=able)
        link = link_of(ledger, shot, able)
        return job_of(config, ledger.token, shot, str(self.folder / "work"), link)

    def made(self, job: dict) -> dict:
        """How it was drawn; it is published, too."""
        drawn = steps.generate(self.workspace, job)
        if job["keeps"]:
            steps.tail(self.workspace, job, drawn["step"])
        conformed = steps.conformed(self.channel, self.workspace, job, drawn)
        steps.publish(self.channel, self.workspace, job, conformed, {"music": ""}, drawn)
        return drawn

    def file(self, job: dict, step: str):
        return self.folder / "work" / job["id"] / f"{step}.mp4"

    def left(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "work").rglob("*") if path.is_file())


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / ((one.astype(float) - other.astype(float)) ** 2).mean()))


def test_the_miniature_goes_on_where_the_shot_before_it_ended(tmp_path):
    bench = OrderQueue(tmp_path, ["cut", "continue"])
    first = bench.begin()
    drawn = steps.generate(bench.workspace, first)
    steps.tail(bench.workspace, first, drawn["step"])
    old, fps = read_video(bench.file(first, "generate"))
    kept = tmp_path / "work" / first["id"] / "tail.webp"
    assert np.array_equal(read_video(kept)[0], old[-KNOWN_FRAMES:])  # nothing is lost
    assert len(old) == 2 * fps  # 17 frames would stand still on air until the third second is over
    between = steps.conformed(bench.channel, bench.workspace, first, drawn)
    steps.publish(bench.channel, bench.workspace, first, between, {"music": ""}, drawn)
    assert bench.left() == ["tail.webp"]

    second = bench.begin()
    request = ShotOrder.from_dict(second | {"tail": str(kept)}).request()
    (condition,) = request.conditions
    assert (condition.kind, condition.clip, condition.frames) == ("continue", str(kept), KNOWN_FRAMES)
    drawn = steps.generate(bench.workspace, second)
    assert drawn == {"step": steps.CONTINUED, "goes_on": True}
    assert steps.generate(bench.workspace, second) == drawn  # again: nothing is drawn, and it is still known how it was
    new, _ = read_video(bench.file(second, steps.CONTINUED))
    assert len(new) == 2 * fps  # of 21, without the five that are known
    plan_of = read_manifest(bench.file(second, steps.CONTINUED))["plan"]
    assert plan_of["conditions"][0]["kind"] == "continue"
    assert any("Frames 5 to 20 of 21" in note for note in plan_of["notes"])

    steps.generate(bench.workspace, second | {"before": ""})  # the same shot as a cut
    cut, _ = read_video(bench.file(second, "generate"))
    seam, jump = psnr(old[-1], new[0]), psnr(old[-1], cut[0])
    assert seam > jump + 3.0, (seam, jump)
    whole = np.concatenate([chunk.frames for chunk in maker("kinema-mini-wan")._loaded(None).stream(request)])
    assert min(psnr(*pair) for pair in zip(whole[:KNOWN_FRAMES], old[-KNOWN_FRAMES:])) > 22.0  # what is known is first,
    assert min(psnr(*pair) for pair in zip(whole[KNOWN_FRAMES:], new)) > 35.0  # and is what was left out

    bench.file(second, "generate").unlink()
    bench.made(second)
    assert bench.left() == []
    clips = {clip.id: clip for clip in bench.channel.library.ready()}
    assert list(clips) == bench.ids
    assert all(clip.frames == 48 for clip in clips.values())
    one, two = (clips[id].shot for id in bench.ids)
    assert (two["made_as"], two["goes_on_from"], two["known_frames"]) == ("continue", bench.ids[0], KNOWN_FRAMES)
    assert "made_as" not in one
    on_air = [read_video(clips[id].path)[0] for id in bench.ids]
    assert psnr(on_air[0][-1], on_air[1][0]) > 3.0 + jump  # at the channel's size and rate, too


def test_clips_that_go_on_are_shown_after_the_one_before_whatever_was_made_between(tmp_path):
    bench = OrderQueue(tmp_path, ["cut", "continue", "cut"], model="python:fake_maker:FakeContinuer")
    log = tmp_path / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_LOG", str(log))
        first, third = bench.begin(), bench.begin()
        bench.made(first)
        bench.made(third)
        bench.made(bench.begin())
    assert [clip.id for clip in bench.channel.library.ready()] == bench.ids
    assert "tail e00001s02 20\n" in log.read_text()


def test_a_step_that_is_done_again_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    bench = OrderQueue(tmp_path, ["cut", "continue", "continue"], model="python:fake_maker:FakeContinuer")
    first = bench.begin()
    drawn = steps.generate(bench.workspace, first)
    for _ in range(2):
        assert steps.tail(bench.workspace, first, drawn["step"]) == {"step": TAIL}
    made = steps.conformed(bench.channel, bench.workspace, first, drawn)
    publish = (bench.channel, bench.workspace, first, made, {"music": ""}, drawn)
    for _ in range(2):
        steps.publish(*publish)
        assert bench.left() == ["tail.webp"]
    second = bench.begin()
    assert bench.made(second)["goes_on"]
    assert bench.left() == ["tail.webp"]  # its own
    steps.publish(*publish)
    assert not (tmp_path / "work" / first["id"]).exists()
    third = bench.begin()
    steps.set_aside(bench.channel, bench.workspace, third, "generate: no")
    assert bench.left() == []


@pytest.mark.parametrize("what", ["gone", "damaged", "aside", "banned"])
def test_without_the_shot_before_it_it_is_a_cut(tmp_path, monkeypatch, what):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    bench = OrderQueue(tmp_path, ["cut", "continue"], model="python:fake_maker:FakeContinuer")
    first = bench.begin()
    tail = tmp_path / "work" / first["id"] / "tail.webp"
    if what == "aside":
        drawn = steps.generate(bench.workspace, first)
        steps.tail(bench.workspace, first, drawn["step"])
        steps.set_aside(bench.channel, bench.workspace, first, "conform: no room")
        assert bench.left() == []
    else:
        bench.made(first)
    if what == "gone":
        tail.unlink()
    if what == "damaged":
        tail.write_bytes(b"RIFF????WEBPnothing")
    if what == "banned":
        bench.channel.ledger.ban(first["planned"], "ugly")
    second = bench.begin()
    drawn = bench.made(second)
    assert drawn["step"] == "generate"
    assert "why_cut" in steps.generate(bench.workspace, second)  # after a restart it is still known
    bench.made(second)  # and all of it may be done again
    assert "tail" not in (tmp_path / "log").read_text()
    shot = bench.channel.library.get(bench.ids[1]).shot
    said = {"gone": "not there", "damaged": "not there", "aside": "(aside)", "banned": "(banned)"}[what]
    assert shot["made_as"] == "cut"
    assert said in shot["why_cut"]
    assert bench.left() == []


def test_a_model_that_cannot_go_on_makes_a_cut_and_keeps_nothing(tmp_path):
    assert can_continue("kinema-mini-wan")
    assert not can_continue("kinema-mini-zeroscope")
    assert not can_continue("space:somebody/else")
    assert not can_continue("python:fake_maker:FakeMaker")
    bench = OrderQueue(tmp_path, ["cut", "continue"], model="toyland")
    assert not bench.begin()["keeps"]
    second = bench.begin()  # it does not wait either
    drawn = bench.made(second)
    assert drawn == {"step": "generate", "why_cut": "the model cannot go on from a clip"}
    assert bench.left() == []


def test_a_clip_that_is_too_short_is_not_gone_on_from(tmp_path):
    write([Chunk(np.zeros((3, 32, 32, 3), np.uint8), 0, 8.0)], tmp_path / "c.mp4")
    workspace = steps.Workspace("", tmp_path / "scratch")
    job = {"id": "t-1", "files": str(tmp_path / "work")}
    workspace.files(job).put("t-1", "generate", tmp_path / "c.mp4")
    assert steps.caught(steps.tail, workspace, job, "generate")["again"] is False
    with pytest.raises(MediaError):
        workspace.files(job).take("t-1", TAIL, tmp_path / "x")
    assert probe(tmp_path / "work" / "t-1" / "generate.mp4").num_frames == 3
