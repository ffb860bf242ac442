"""Shots that continue the previous one: order, stored frames, the seam, and cuts as a fallback."""

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
    assert sweep(ledger, files, "t") == [ids[0]]  # the others are still needed
    ledger.ban(ids[2], "ugly")
    ledger.end(ids[3], "published")
    assert sweep(ledger, files, "t") == ids[1:]
    assert list((tmp_path / "work").iterdir()) == []


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


class StepRunner:
    """Runs the steps of an episode's shots, as the producer would."""

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
        """Generate and publish a shot; return the result of `generate`."""
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
    runner = StepRunner(tmp_path, ["cut", "continue"])
    first = runner.begin()
    drawn = steps.generate(runner.workspace, first)
    steps.tail(runner.workspace, first, drawn["step"])
    old, fps = read_video(runner.file(first, "generate"))
    kept = tmp_path / "work" / first["id"] / "tail.webp"
    assert np.array_equal(read_video(kept)[0], old[-KNOWN_FRAMES:])  # lossless
    assert len(old) == 2 * fps  # 17 frames would be held until the end of the third second
    between = steps.conformed(runner.channel, runner.workspace, first, drawn)
    steps.publish(runner.channel, runner.workspace, first, between, {"music": ""}, drawn)
    assert runner.left() == ["tail.webp"]

    second = runner.begin()
    request = ShotOrder.from_dict(second | {"tail": str(kept)}).request()
    (condition,) = request.conditions
    assert (condition.kind, condition.clip, condition.frames) == ("continue", str(kept), KNOWN_FRAMES)
    drawn = steps.generate(runner.workspace, second)
    assert drawn == {"step": steps.CONTINUED, "goes_on": True}
    assert steps.generate(runner.workspace, second) == drawn  # idempotent, with the same result
    new, _ = read_video(runner.file(second, steps.CONTINUED))
    assert len(new) == 2 * fps  # of 21, without the five context frames
    plan_of = read_manifest(runner.file(second, steps.CONTINUED))["plan"]
    assert plan_of["conditions"][0]["kind"] == "continue"
    assert any("frames 5 to 20 of 21" in note for note in plan_of["notes"])

    steps.generate(runner.workspace, second | {"before": ""})  # the same shot as a cut
    cut, _ = read_video(runner.file(second, "generate"))
    seam, jump = psnr(old[-1], new[0]), psnr(old[-1], cut[0])
    assert seam > jump + 3.0, (seam, jump)
    whole = np.concatenate([chunk.frames for chunk in maker("kinema-mini-wan")._loaded(None).stream(request)])
    assert min(psnr(*pair) for pair in zip(whole[:KNOWN_FRAMES], old[-KNOWN_FRAMES:])) > 22.0  # context frames,
    encoded = write(
        [Chunk(whole[KNOWN_FRAMES : KNOWN_FRAMES + len(new)], 0, fps)], tmp_path / "new.mp4", quality="best"
    )
    assert np.array_equal(read_video(encoded)[0], new)  # and only they are removed: the rest is the codec's loss

    runner.file(second, "generate").unlink()
    runner.made(second)
    assert runner.left() == []
    clips = {clip.id: clip for clip in runner.channel.library.ready()}
    assert list(clips) == runner.ids
    assert all(clip.frames == 48 for clip in clips.values())
    one, two = (clips[id].shot for id in runner.ids)
    assert (two["made_as"], two["goes_on_from"], two["known_frames"]) == ("continue", runner.ids[0], KNOWN_FRAMES)
    assert "made_as" not in one
    on_air = [read_video(clips[id].path)[0] for id in runner.ids]
    assert psnr(on_air[0][-1], on_air[1][0]) > 3.0 + jump  # at the channel's size and rate, too


def test_clips_that_go_on_are_shown_after_the_one_before_whatever_was_made_between(tmp_path):
    runner = StepRunner(tmp_path, ["cut", "continue", "cut"], model="python:fake_maker:FakeContinuer")
    log = tmp_path / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_LOG", str(log))
        first, third = runner.begin(), runner.begin()
        runner.made(first)
        runner.made(third)
        runner.made(runner.begin())
    assert [clip.id for clip in runner.channel.library.ready()] == runner.ids
    assert "tail e00001s02 20\n" in log.read_text()


def test_a_step_that_is_done_again_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    runner = StepRunner(tmp_path, ["cut", "continue", "continue"], model="python:fake_maker:FakeContinuer")
    first = runner.begin()
    drawn = steps.generate(runner.workspace, first)
    for _ in range(2):
        assert steps.tail(runner.workspace, first, drawn["step"]) == {"step": TAIL}
    made = steps.conformed(runner.channel, runner.workspace, first, drawn)
    publish = (runner.channel, runner.workspace, first, made, {"music": ""}, drawn)
    for _ in range(2):
        steps.publish(*publish)
        assert runner.left() == ["tail.webp"]
    second = runner.begin()
    assert runner.made(second)["goes_on"]
    assert runner.left() == ["tail.webp"]  # its own
    steps.publish(*publish)
    assert not (tmp_path / "work" / first["id"]).exists()
    third = runner.begin()
    steps.set_aside(runner.channel, runner.workspace, third, "generate: no")
    assert runner.left() == []


@pytest.mark.parametrize("harm", ["gone", "damaged", "aside", "banned"])
def test_without_the_shot_before_it_it_is_a_cut(tmp_path, monkeypatch, harm):
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    runner = StepRunner(tmp_path, ["cut", "continue"], model="python:fake_maker:FakeContinuer")
    first = runner.begin()
    tail = tmp_path / "work" / first["id"] / "tail.webp"
    if harm == "aside":
        drawn = steps.generate(runner.workspace, first)
        steps.tail(runner.workspace, first, drawn["step"])
        steps.set_aside(runner.channel, runner.workspace, first, "conform: no room")
        assert runner.left() == []
    else:
        runner.made(first)
    if harm == "gone":
        tail.unlink()
    if harm == "damaged":
        tail.write_bytes(b"RIFF????WEBPnothing")
    if harm == "banned":
        runner.channel.ledger.ban(first["planned"], "ugly")
    second = runner.begin()
    drawn = runner.made(second)
    assert drawn["step"] == "generate"
    assert "why_cut" in steps.generate(runner.workspace, second)  # also after a restart
    runner.made(second)  # idempotent
    assert "tail" not in (tmp_path / "log").read_text()
    shot = runner.channel.library.get(runner.ids[1]).shot
    why = {"gone": "are missing", "damaged": "are missing", "aside": "(aside)", "banned": "(banned)"}[harm]
    assert shot["made_as"] == "cut"
    assert why in shot["why_cut"]
    assert runner.left() == []


def test_a_model_that_cannot_go_on_makes_a_cut_and_keeps_nothing(tmp_path):
    assert can_continue("kinema-mini-wan")
    assert not can_continue("kinema-mini-zeroscope")
    assert not can_continue("space:somebody/else")
    assert not can_continue("python:fake_maker:FakeMaker")
    runner = StepRunner(tmp_path, ["cut", "continue"], model="toyland")
    assert not runner.begin()["keeps"]
    second = runner.begin()  # it does not wait
    drawn = runner.made(second)
    assert drawn == {"step": "generate", "why_cut": "the model cannot continue a clip"}
    assert runner.left() == []


def test_a_clip_that_is_too_short_is_not_gone_on_from(tmp_path):
    write([Chunk(np.zeros((3, 32, 32, 3), np.uint8), 0, 8.0)], tmp_path / "c.mp4")
    workspace = steps.Workspace("", tmp_path / "scratch")
    job = {"id": "t-1", "files": str(tmp_path / "work")}
    workspace.files(job).put("t-1", "generate", tmp_path / "c.mp4")
    assert steps.caught(steps.tail, workspace, job, "generate")["again"] is False
    with pytest.raises(MediaError):
        workspace.files(job).take("t-1", TAIL, tmp_path / "x")
    assert probe(tmp_path / "work" / "t-1" / "generate.mp4").num_frames == 3
