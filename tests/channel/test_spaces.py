"""Clips from a Gradio Space, through gradio_client and a server that misbehaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kinema.channel.making.makers import Down, Job
from kinema.channel.making.spaces import SpaceMaker
from kinema.channel.writing.breaker import Breaker
from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError, RequestError
from kinema.media.read import probe
from kinema.media.write import write


@pytest.fixture
def space(tmp_path):
    clip, started = tmp_path / "clip.mp4", []
    write([Chunk(np.zeros((4, 32, 48, 3), np.uint8), 0, 8.0)], clip)

    def start(*behaviours: str, **settings):
        log = tmp_path / "asked.jsonl"
        script = str(Path(__file__).with_name("space_server.py"))
        process = subprocess.Popen(
            [sys.executable, script, str(clip), str(log), *behaviours], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        address = f"http://127.0.0.1:{int(process.stdout.readline())}"
        job = Job(
            id="t-e00001s01", prompt="a red ball", negative_prompt="", seconds=2.0, seed=7, profile="fast",
            model=f"space:{address}", making={},
            space={
                "endpoint": "/make", "inputs": ["{prompt}", "{seed}"], "timeout_s": 60.0, "key_env": None, **settings,
            },
        )  # fmt: skip
        return job, log

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_space_makes_a_clip(space, tmp_path, monkeypatch):
    monkeypatch.setenv("SPACE_TOKEN", "hf_secret")
    job, log = space("good", key_env="SPACE_TOKEN")
    maker = SpaceMaker(job.model)
    maker.check(job)
    maker.make(job, tmp_path / "made.mp4")
    info = probe(tmp_path / "made.mp4")
    assert (info.width, info.height, info.num_frames) == (48, 32, 4)
    asked = json.loads(log.read_text())
    assert asked["data"] == ["a red ball", 7]
    assert asked["token"] == "Bearer hf_secret"


def test_what_a_space_can_do_wrong(space, tmp_path):
    job, _ = space("error", "words", "text", "503")
    maker, target = SpaceMaker(job.model), tmp_path / "made.mp4"
    with pytest.raises(KinemaError, match="I do not draw that") as refused:
        maker.make(job, target)
    assert not isinstance(refused.value, Down)  # the shot's fault
    with pytest.raises(KinemaError, match="no clip"):
        maker.make(job, target)
    with pytest.raises(KinemaError):
        maker.make(job, target)
    assert maker.breaker.failed_in_a_row == 0
    with pytest.raises(Down):
        maker.make(job, target)
    assert maker.breaker.failed_in_a_row == 1
    assert not target.exists()


def test_a_space_that_hangs_or_is_gone_is_left_alone_for_a_while(space, tmp_path):
    job, log = space("hang", "hang", "good", timeout_s=3.0)
    now, waited = [0.0], []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    maker = SpaceMaker(job.model, Breaker(failures=2, pause_s=20.0, clock=lambda: now[0]), sleep)
    target = tmp_path / "made.mp4"
    for _ in range(2):
        with pytest.raises(Down):
            maker.make(job, target)
    assert maker.breaker.is_open
    assert not waited
    patient = Job(**{**job.__dict__, "space": {**job.space, "timeout_s": 60.0}})
    maker.make(patient, target)  # asked again only when the pause is over
    assert sum(waited) == 20.0
    assert target.is_file()
    assert len(log.read_text().splitlines()) == 3
    gone = SpaceMaker("space:http://127.0.0.1:9")
    with pytest.raises(Down):
        gone.make(job, target)


def test_what_is_no_space_is_refused(space):
    job, _ = space("good")
    with pytest.raises(RequestError, match="owner/name"):
        SpaceMaker("space:nowhere").check(job)
