"""Makers and the post-processing of clips."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from chat_server import Server
from shot_runner import ShotRunner

from kinema.channel.config import ChannelConfig, DirectorConfig, Music, Picture
from kinema.channel.making import finish
from kinema.channel.making.beds import add_bed, bed_for, bed_job, bed_name, missing_bed
from kinema.channel.making.finish import fitted
from kinema.channel.making.job import ClipTimeout
from kinema.channel.making.ledger import Ledger
from kinema.channel.making.makers import MAKERS, KinemaMaker, Makers, deadline
from kinema.channel.making.planning import Planner
from kinema.channel.writing.breaker import SteadyWriter
from kinema.channel.writing.writer_grammar import GrammarWriter
from kinema.channel.writing.writer_llm import LanguageModelWriter
from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError, WeightsMissing
from kinema.core.events import Event, Progress
from kinema.jobs.context import Context
from kinema.media.read import probe, read_video


def test_the_miniature_makes_a_shot_from_the_director_to_the_library(tmp_path, monkeypatch):
    music = Music(beds=1, seconds=5)
    runner = ShotRunner(tmp_path, music=music, picture=Picture(), model="kinema-mini-wan")
    theme = runner.producer.config.theme
    runner.producer.planner.write(theme)
    runner.producer._compose()
    assert runner.step().state == "succeeded"
    runner.producer._compose()
    planned = runner.ledger.get(runner.begin())
    stop, report = threading.Event(), Context.report

    def stopping(self: Context, event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "sample" and event.done:
            stop.set()
        report(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(Context, "report", stopping)
        assert runner.step(stop).state == "queued"  # its worker ended between two steps
    made = runner.step()
    assert made.state == "succeeded" and made.attempts == 2 and made.failures == []
    assert [event.data for event in runner.store.events(made.id) if event.kind == "resumed"]
    assert [job.state for job in runner.finish()] == ["succeeded"]
    (clip,) = runner.library.ready()
    info = probe(clip.path)
    assert (info.width, info.height, info.fps) == (576, 320, 24)
    assert clip.frames % 24 == 0
    assert (clip.prompt, clip.theme, clip.shot["quality"]) == (planned.prompt, theme, "draft")
    assert clip.music == tmp_path / "music" / f"{bed_name(theme)}-0.m4a"
    frames, _ = read_video(clip.path)
    middle, side = frames[:, :, 128:448], frames[:, :, :100]
    assert side.mean() < 0.75 * middle.mean()  # the sides are the picture's own backdrop, darker
    assert np.abs(np.diff(middle.astype(int), axis=1)).mean() > 2 * np.abs(np.diff(side.astype(int), axis=1)).mean()


def test_toyland_draws_what_the_prompt_says(tmp_path):
    making = {"model": "toyland", "upscale": "lanczos", "interpolate": "none"}
    runner = ShotRunner(tmp_path, ["cut"], quality="full", seconds=1.0, picture=Picture(), **making)
    runner.begin()
    small, large = (probe(runner.file(runner.step())) for _ in range(2))
    assert (large.width, large.height) == (2 * small.width, 2 * small.height)
    assert large.num_frames == small.num_frames
    assert [job.name for job in runner.finish()] == [f"{runner.ids[0]} publish"]


def test_frames_in_between_are_made_where_that_is_possible_and_refused_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(finish, "INTERPOLATION", "kinema.post.no_such_module")
    finish.check_interpolate("none")
    with pytest.raises(RequestError, match=r"making\.interpolate = 'mci'"):
        finish.check_interpolate("mci")
    monkeypatch.setattr(finish, "INTERPOLATION", "fake_between")
    finish.check_interpolate("mci")
    with pytest.raises(WeightsMissing):
        finish.check_interpolate("film")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    making = {"model": "python:fake_maker:FakeMaker", "interpolate": "mci"}
    runner = ShotRunner(tmp_path, ["cut"], quality="full", **making)
    runner.begin()
    before, after = (probe(runner.file(runner.step())) for _ in range(2))
    assert (before.num_frames, before.fps) == (8, 8) and (after.num_frames, after.fps) == (24, 24)


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
    makers = Makers()
    first = makers.of("toyland")
    assert makers.of("toyland") is first
    assert isinstance(makers.of("kinema-mini-wan"), KinemaMaker)
    assert makers.of("kinema-mini-svd") and makers.of("toyland") is not first
    assert Makers().of("toyland") is not makers.of("toyland")  # another consumer has its own
    assert set(MAKERS) == {"toyland", "kinema:", "space:", "python:"}
    with pytest.raises(RequestError, match="python:module:name"):
        makers.of("python:json:nothing")


def test_a_clip_that_takes_too_long_is_stopped():
    deadline(60)(Event("sample"))
    with pytest.raises(ClipTimeout, match="slowest_s"):
        deadline(-1)(Event("sample"))


def test_beds_are_used_in_turn_and_bounded(tmp_path):
    config = ChannelConfig(folder=str(tmp_path), music=Music(beds=2, most=3, seconds=5))
    (tmp_path / "bed").write_bytes(b"music")

    def add(theme: str) -> Path:
        return add_bed(config, missing_bed(config, theme), tmp_path / "bed")

    assert bed_for(config, "rain") is None
    first, second = add("rain"), add("rain")
    assert first != second and first.read_bytes() == b"music"
    assert missing_bed(config, "rain") == ""
    os.utime(first, (1000, 1000))
    assert bed_for(config, "rain") == first  # least recently used
    os.utime(second, (1000, 1000))
    bodies = [bed_job(config, "t", "sun", missing_bed(config, "sun"))]
    add("sun")
    bodies.append(bed_job(config, "t", "sun", missing_bed(config, "sun")))
    add("sun")
    assert not second.exists()  # the oldest was deleted
    assert len(list((tmp_path / "music").iterdir())) == 3
    assert [body["words"] for body in bodies] == ["sun, calm"] * 2 and bodies[0]["seed"] != bodies[1]["seed"]
    assert missing_bed(config.model_copy(update={"music": Music(beds=0)}), "rain") == ""


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
