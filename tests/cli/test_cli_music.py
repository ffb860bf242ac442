"""`kinema music` and `kinema score`."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from cli_tools import answer, process, run

from kinema.core.chunk import Chunk
from kinema.media.read import probe, read_audio
from kinema.media.write import write


def clip(name: str = "clip.mp4", seconds: float = 2, sound: bool = False) -> str:
    frames = np.full((round(seconds * 12), 32, 48, 3), 90, np.uint8)
    noise = np.random.default_rng(0).standard_normal((round(seconds * 48000), 1)).astype(np.float32) * 0.05
    write([Chunk(frames, 0, 12, noise if sound else None)], name)
    return name


def test_music_of_a_length_into_a_file():
    arguments = ("music", "calm, 90 bpm", "--seconds", "4.5", "--seed", "3", "--sound", "own", "--json")
    found = answer(run(*arguments, "-o", "bed.wav"))
    assert found["length_s"] == 4.5 and found["procedural"] and found["made"]["bpm"] == 90
    assert abs(found["lufs"] + 16) < 0.2 and found["peak_dbtp"] <= -1.5
    assert read_audio("bed.wav").shape == (216_000, 2)
    again = answer(run(*arguments, "-o", "again.wav"))
    assert Path(again["path"]).read_bytes() == Path("bed.wav").read_bytes()


def test_a_name_and_a_seed_are_found():
    result = run("music", "a happy tune", "--seconds", "1", "--sound", "own")
    assert result.exit_code == 0
    assert "kinema-music-happy.m4a" in result.stdout and "procedural music" in result.stdout
    assert Path("kinema-music-happy.m4a").exists()


@pytest.mark.parametrize("sound", [False, True])
def test_score(sound):
    found = answer(run("score", clip(sound=sound), "--theme", "a storm", "--seed", "1", "--sound", "own", "--json"))
    assert found["path"] == "clip-scored.mp4" and found["length_s"] == 2
    assert ("under_lu" in found["made"]) == sound
    assert probe("clip-scored.mp4").has_audio
    replaced = answer(
        run(
            "score",
            "clip.mp4",
            "--theme",
            "a storm",
            "--seed",
            "1",
            "--sound",
            "own",
            "--replace",
            "-o",
            "b.mkv",
            "--json",
        )
    )
    assert "under_lu" not in replaced["made"]


@pytest.mark.parametrize(("arguments", "words"), [
    (("music", "calm", "--seconds", "0"), "0.5 to 1800 seconds"),
    (("music", "calm, 500 bpm"), "40 to 220"),
    (("music", ""), "theme is empty"),
    (("music", "calm", "-o", "a.mid"), ".wav, .flac"),
    (("music", "calm", "-o", "no/a.wav"), "does not exist"),
    (("music", "calm", "--sound", "what"), "own, auto"),
    (("music", "calm", "--seed", "-1"), "2**63"),
    (("score", "clip.mp4", "-o", "clip.mp4"), "over itself"),
    (("score", "clip.mp4", "-o", "a.gif"), ".mp4, .mov"),
    (("score", "clip.mp4", "--under", "99"), "0 to 40"),
])  # fmt: skip
def test_refusals(arguments, words):
    clip()
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert sorted(each.name for each in Path().iterdir() if each.name != "home") == ["clip.mp4"]


def test_missing_things_fail_with_a_reason():
    assert "not pulled" in run("music", "calm", "--model", "no/such").stderr
    missing = run("score", "nothing.mp4")
    assert missing.exit_code == 2 and "no such file" in missing.stderr


def test_ctrl_c_leaves_no_half_file(tmp_path):
    job = process(
        "-m", "kinema", "music", "epic battle", "--seconds", "900", "--sound", "own", "-o", "long.m4a", cwd=tmp_path
    )
    assert job.stderr is not None
    assert "composing" in job.stderr.readline()
    time.sleep(0.5)
    job.send_signal(signal.SIGINT)
    out, error = job.communicate(timeout=60)
    assert job.returncode == 130, (out, error)
    assert "Stopped" in error
    assert [each.name for each in tmp_path.iterdir() if each.name != "home"] == []


def test_inspect_tells_of_the_music():
    run("score", clip(), "--theme", "a storm", "--seed", "1", "--sound", "own")
    found = answer(run("inspect", "clip-scored.mp4", "--json"))
    assert found["scored"]["clip"] == "clip.mp4" and found["scored"]["music"]["words"] == "a storm"
    told = run("inspect", "clip-scored.mp4")
    assert told.exit_code == 0 and "Scored" in told.stdout and "a storm" in told.stdout
    assert run("rerun", "clip-scored.mp4").exit_code == 2
