"""Makers and the post-processing of clips."""

from __future__ import annotations

import os

import numpy as np
import pytest
from chat_server import Server

from kinema import music
from kinema.channel.config import ChannelConfig, DirectorConfig, Making, Music
from kinema.channel.library import Library
from kinema.channel.making import finish, steps
from kinema.channel.making.beds import bed_for, bed_name, lacks_beds, make_bed
from kinema.channel.making.finish import fitted
from kinema.channel.making.ledger import Ledger
from kinema.channel.making.makers import MAKERS, KinemaMaker, deadline, maker
from kinema.channel.making.planning import Planner, job_of
from kinema.channel.writing.breaker import SteadyWriter
from kinema.channel.writing.writer_grammar import GrammarWriter
from kinema.channel.writing.writer_llm import LanguageModelWriter
from kinema.core.chunk import Chunk
from kinema.core.errors import Cancelled, RequestError, WeightsMissing
from kinema.core.events import Event
from kinema.media.read import probe, read_video
from kinema.media.write import write


def channel_of(tmp_path, **changes) -> steps.Channel:
    config = ChannelConfig(folder=str(tmp_path), **changes)
    return steps.Channel(config, Ledger(tmp_path), Library.open(tmp_path))


def test_the_miniature_makes_a_shot_from_the_director_to_the_library(tmp_path):
    channel = channel_of(tmp_path, music=Music(beds=1, seconds=5))
    Planner(channel.config, channel.ledger).write(channel.config.theme)
    planned = channel.ledger.begin(channel.config.theme, "draft")
    job = job_of(channel.config, channel.ledger.token, planned, str(tmp_path / "work"))
    workspace = steps.Workspace("", tmp_path / "work" / "scratch")
    drawn = steps.generate(workspace, job)
    made = steps.conformed(channel, workspace, job, drawn)
    assert steps.score(channel, job) == {"music": ""}  # a draft does not wait for music
    bed = steps.score(channel, job | {"quality": "full"})
    for _ in range(2):  # idempotent
        assert steps.publish(channel, workspace, job, made, bed) == {"state": "published"}
    (clip,) = channel.library.ready()
    info = probe(clip.path)
    assert (info.width, info.height, info.fps) == (576, 320, 24)
    assert clip.frames % 24 == 0
    assert (clip.prompt, clip.theme, clip.shot["quality"]) == (planned.prompt, planned.theme, "draft")
    assert clip.music == tmp_path / "music" / f"{bed_name(planned.theme)}-0.m4a"
    assert not (tmp_path / "work" / job["id"]).exists()
    frames, _ = read_video(clip.path)
    middle, side = frames[:, :, 128:448], frames[:, :, :100]
    assert side.mean() < 0.75 * middle.mean()  # the sides are the picture's own backdrop, darker
    assert np.abs(np.diff(middle.astype(int), axis=1)).mean() > 2 * np.abs(np.diff(side.astype(int), axis=1)).mean()


def test_toyland_draws_what_the_prompt_says(tmp_path):
    channel = channel_of(tmp_path, making=Making(model="toyland", upscale="lanczos"))
    Planner(channel.config, channel.ledger).write(channel.config.theme)
    planned = channel.ledger.begin(channel.config.theme, "full")
    job = job_of(channel.config, "t", planned, str(tmp_path / "work"))
    workspace = steps.Workspace("", tmp_path / "work" / "scratch")
    drawn = steps.generate(workspace, job)
    steps.generate(workspace, job)  # finished: not repeated
    small = probe(tmp_path / "work" / job["id"] / "generate.mp4")
    large_at = steps.upscaled(workspace, job, drawn["step"])
    large = probe(tmp_path / "work" / job["id"] / f"{large_at['step']}.mp4")
    assert (large.width, large.height) == (2 * small.width, 2 * small.height)
    assert large.num_frames == small.num_frames


def test_frames_in_between_are_made_where_that_is_possible_and_refused_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(finish, "INTERPOLATION", "kinema.post.no_such_module")
    finish.check_interpolate("none")
    with pytest.raises(RequestError, match=r"making\.interpolate = 'mci'"):
        finish.check_interpolate("mci")
    monkeypatch.setattr(finish, "INTERPOLATION", "fake_between")
    finish.check_interpolate("mci")
    with pytest.raises(WeightsMissing):
        finish.check_interpolate("film")
    workspace = steps.Workspace("", tmp_path / "scratch")
    job = {
        "id": "t-1", "prompt": "", "negative_prompt": "", "seconds": 1.0, "seed": 1, "profile": "fast", "model": "x",
        "fps": 24, "files": str(tmp_path / "work"), "making": {"interpolate": "mci", "device": ""},
    }  # fmt: skip
    write([Chunk(np.zeros((4, 32, 32, 3), np.uint8), 0, 8.0)], tmp_path / "c.mp4")
    workspace.files(job).put("t-1", "generate", tmp_path / "c.mp4")
    done = steps.interpolated(workspace, job, "generate")
    info = probe(workspace.files(job).take("t-1", done["step"], tmp_path / "x.mp4"))
    assert (info.num_frames, info.fps) == (12, 24)


def test_fitting_in():
    frames = np.zeros((2, 40, 40, 3), np.uint8)
    frames[:, :, 20:] = 200
    chunk = Chunk(frames, 0, 8.0)
    for fit, left, right in (("backdrop", 0, 100), ("contain", 0, 0), ("cover", 0, 200)):
        (out,) = fitted([chunk], 96, 54, fit)
        assert out.frames.shape == (2, 54, 96, 3)
        assert abs(int(out.frames[0, 27, 2, 0]) - left) <= 4
        assert abs(int(out.frames[0, 27, 93, 0]) - right) <= 4
        assert out.frames[0, 27, 55, 0] == 200


def test_makers_are_found_by_name_and_few_are_kept():
    assert maker("toyland") is maker("toyland")
    assert isinstance(maker("kinema-mini-wan"), KinemaMaker)
    assert set(MAKERS) == {"toyland", "kinema:", "space:", "python:"}
    with pytest.raises(RequestError, match="python:module:name"):
        maker("python:json:nothing")


def test_a_clip_that_takes_too_long_is_stopped():
    deadline(60)(Event("sample"))
    with pytest.raises(Cancelled, match="slowest_s"):
        deadline(-1)(Event("sample"))


def test_beds_are_made_once_and_bounded(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        music, "make", lambda words, *_, **__: made.append(words) or music.Track(np.zeros((4800, 2)), True, {}),
        raising=False,
    )  # fmt: skip
    config = ChannelConfig(folder=str(tmp_path), music=Music(beds=2, most=3, seconds=5))
    assert bed_for(config, "rain", make=False) is None
    first = bed_for(config, "rain")
    assert lacks_beds(config, "rain")
    second = make_bed(config, "rain")
    assert first != second
    assert not lacks_beds(config, "rain")
    assert make_bed(config, "rain") in (first, second)
    os.utime(first, (1000, 1000))
    assert bed_for(config, "rain") == first  # least recently used
    os.utime(second, (1000, 1000))
    make_bed(config, "sun")
    make_bed(config, "sun")
    assert not second.exists()  # the oldest was deleted
    assert len(list((tmp_path / "music").iterdir())) == 3
    assert made == ["rain, calm"] * 2 + ["sun, calm"] * 2
    assert bed_for(config.model_copy(update={"music": Music(beds=0)}), "rain") is None


def test_a_failing_step_says_whether_another_try_helps():
    def refuse() -> dict:
        raise RequestError("no such size")

    def stumble() -> dict:
        raise OSError("disk")

    assert steps.caught(refuse) == {"failed": "no such size", "again": False}
    assert steps.caught(stumble) == {"failed": "OSError: disk", "again": True}
    assert steps.caught(lambda: {"step": "x"}) == {"step": "x"}


def direct_with(server: Server, ledger: Ledger) -> Planner:
    """A planner whose writer is the stub language model of chat_server.py."""
    planner = Planner(ChannelConfig(theme="a storm at sea", director=DirectorConfig(shots=3)), ledger)
    model = LanguageModelWriter(server.chat(tries=2, pause_s=0), planner.moderation.episode)
    planner.writer = SteadyWriter(model, GrammarWriter())
    return planner


def test_a_language_model_that_misbehaves_does_not_stop_the_planning(tmp_path, serve):
    ledger = Ledger(tmp_path)
    server = serve("good", "500", "broken", "obeys", "obeys")
    planner = direct_with(server, ledger)
    planner.write("a storm at sea")
    assert planner.trouble == ""
    planner.write("a storm at sea")
    assert planner.trouble
    writers = [row[0] for row in ledger._state._db.execute("SELECT writer FROM episodes ORDER BY n")]
    assert writers[0] == "language model"
    assert writers[1] != "language model"
    assert ledger.counts()["planned"] == 6
