"""Sets of clips are read and measured: every file is measured or named, and a killed run continues at its clip."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fake_yardsticks import Brightness, FarFrom, write_clip

from kinema.core.errors import MediaError, RequestError
from kinema.evaluation.yardsticks.measure import one_thread
from kinema.evaluation.yardsticks.read import find_clips
from kinema.evaluation.yardsticks.run import differing, evaluate
from kinema.evaluation.yardsticks.store import FILE, pack, unpack


def rows_of(folder: Path) -> list:
    with sqlite3.connect(folder / FILE) as db:
        return sorted(db.execute("SELECT key, data FROM rows").fetchall())


@pytest.mark.usefixtures("fakes")
def test_figures_of_one_set_of_pairs_and_of_two_sets(bright_set, dark_set):
    found = evaluate(bright_set, dark_set, metrics=["brightness,gap", "far"])
    names = tuple(f"{number:03d}" for number in range(6))
    assert [each.name for each in found.figures] == ["brightness", "gap", "far"]
    assert found["brightness"].clips == names
    levels, bar = 100 + 10 * np.arange(6), 24 / 1024
    assert found["brightness"].score.per_clip == pytest.approx(levels + bar * (255 - 2 * levels), abs=1.0)
    assert found["gap"].score.value == pytest.approx(25, abs=2) and found["far"].score.facts == {"others": 6}
    assert found["far"].score.value == pytest.approx(25 * (1 - 24 / 1024 * 2), abs=1)
    assert found.failed == [] and found.differing == []


@pytest.mark.usefixtures("fakes")
def test_every_bad_file_is_named_and_the_rest_measured(tmp_path, bright_set):
    for number in range(3):
        shutil.copy(bright_set / f"{number:03d}.mp4", tmp_path)
    whole = (bright_set / "003.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "words.mp4").write_text("no video")
    (tmp_path / "notes.pdf").write_text("no video")
    (tmp_path / ".hidden.mp4").write_text("no video")
    write_clip(tmp_path / "short.mp4", 90, frames=2)
    write_clip(tmp_path / "deep" / "large.mp4", 90, size=48)
    write_clip(tmp_path / "slow.mp4", 90, fps=4.0)
    found = evaluate(tmp_path, metrics=["brightness"])
    assert found["brightness"].clips == ("000", "001", "002", "deep/large", "slow")
    reasons = {each.clip: (each.yardstick, each.reason) for each in found.failed}
    assert set(reasons) == {"cut.mp4", "empty.mp4", "words.mp4", "notes.pdf", "short.mp4"}
    assert reasons["short.mp4"] == ("brightness", "2 frames; 4 are needed")
    assert reasons["notes.pdf"] == ("", "no video (ending .pdf)") and "empty" in reasons["empty.mp4"][1]
    how = {clip: how for _, clip, how in found.differing}
    assert how == {"deep/large.mp4": "48x48, most have 32x32", "slow.mp4": "4 fps, most have 8"}
    same = evaluate(tmp_path, metrics=["brightness"], uniform=True)
    assert same["brightness"].clips == ("000", "001", "002")
    assert {"deep/large.mp4", "slow.mp4"} <= {each.clip for each in same.failed} and same.differing == []


@pytest.mark.usefixtures("fakes")
def test_nothing_to_measure_is_an_error(tmp_path, bright_set):
    write_clip(tmp_path / "short.mp4", 90, frames=2)
    with pytest.raises(MediaError, match=r"short\.mp4: .*2 frames"):
        evaluate(tmp_path, metrics=["brightness"])
    for words, field in (
        ({"metrics": ["gap"]}, "against"), ({"metrics": []}, "metrics"), ({"metrics": ["brightnes"]}, "metrics"),
        ({"metrics": ["gap"], "against": tmp_path}, "against"), ({"metrics": ["brightness"], "workers": 0}, "workers"),
        ({"metrics": ["far"], "against": tmp_path / "none"}, "against"),
    ):  # fmt: skip
        with pytest.raises(RequestError) as told:
            evaluate(bright_set, **words)
        assert told.value.field == field
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="contains no clips"):
        evaluate(tmp_path / "empty", metrics=["brightness"])


def test_an_interrupted_run_continues_at_its_clip(fakes, tmp_path, bright_set, dark_set):
    """The rows of a stopped run are used by the next; the result is that of an uninterrupted one, byte by byte."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = evaluate(bright_set, dark_set, metrics=["brightness", "far"], out=whole)

    def stop(event):
        if event.stage == "measure" and event.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(bright_set, dark_set, metrics=["brightness", "far"], out=parts, on_event=stop)
    Brightness.measured = FarFrom.measured = []
    again = evaluate(bright_set, dark_set, metrics=["brightness", "far"], out=parts, resume=True)
    assert list(Brightness.measured) == ["004", "005"] and len(FarFrom.measured) == 2 + 6
    assert rows_of(parts) == rows_of(whole) and again.figures == expected.figures
    Brightness.measured = []
    evaluate(bright_set, dark_set, metrics=["brightness", "far"], out=parts)
    assert len(Brightness.measured) == 6, "without resume, a run starts over"


@pytest.mark.usefixtures("fakes")
def test_a_changed_clip_or_caption_is_measured_again(tmp_path, bright_set):
    folder, out = tmp_path / "clips", tmp_path / "out"
    shutil.copytree(bright_set, folder)
    evaluate(folder, metrics=["brightness"], out=out)
    write_clip(folder / "002.mp4", 10)
    (folder / "003.txt").write_text("a gray bar")
    Brightness.measured = []
    found = evaluate(folder, metrics=["brightness"], out=out, resume=True)
    assert list(Brightness.measured) == ["002", "003"] and found["brightness"].score.per_clip[2] < 30
    assert found.files["003"].caption == "a gray bar"


@pytest.mark.usefixtures("fakes")
def test_pairs_without_partner_are_named(tmp_path, bright_set, dark_set):
    shutil.copytree(dark_set, tmp_path / "fewer")
    (tmp_path / "fewer" / "005.mp4").unlink()
    found = evaluate(bright_set, tmp_path / "fewer", metrics=["gap"])
    assert [(each.clip, each.yardstick) for each in found.failed] == [("005.mp4", "gap")]
    assert found["gap"].clips == tuple(f"{number:03d}" for number in range(5))
    one = evaluate(bright_set / "001.mp4", dark_set / "004.mp4", metrics=["gap"])
    assert one["gap"].clips == ("001",), "two single clips are a pair"


def test_one_or_two_processes_keep_the_same_bytes(tmp_path, bright_set, dark_set):
    for workers in (1, 2):
        found = evaluate(bright_set, dark_set, metrics=["psnr"], out=tmp_path / str(workers), workers=workers)
        assert len(found["psnr"].clips) == 6
    assert rows_of(tmp_path / "1") == rows_of(tmp_path / "2")


def test_captions_and_kinds_of_clips(tmp_path, bright_set):
    """A folder of frames is a clip; pictures beside clips, masks and metadata are none."""
    from PIL import Image

    frames = tmp_path / "clips" / "frames"
    frames.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(frames / f"{number:05d}.png")
    for name in ("a.mp4", "b.mp4", "c.mp4", "c.mask.mp4"):
        shutil.copy(bright_set / "000.mp4", tmp_path / "clips" / name)
    Image.new("RGB", (16, 16)).save(tmp_path / "clips" / "sheet.png")
    (tmp_path / "clips" / "metadata.csv").write_text("file_name,text\na.mp4,from the table\nb.mp4,\n")
    (tmp_path / "clips" / "b.txt").write_text("from the file\n")
    found = find_clips(tmp_path / "clips")
    captions = {clip.name: clip.caption for clip in found.clips}
    assert captions == {"a": "from the table", "b": "from the file", "c": None, "frames": None}
    assert [name for name, _ in found.refused] == ["metadata.csv, row 2"]
    assert [clip.name for clip in find_clips(frames).clips] == ["frames"]


def test_rows_hold_no_objects():
    row = {"x": np.arange(3), "words": np.array(["a", "bc"])}
    assert {name: value.tolist() for name, value in unpack(pack(row)).items()} == {"x": [0, 1, 2], "words": ["a", "bc"]}
    with pytest.raises(TypeError, match="object"):
        pack({"x": np.array([{}], dtype=object)})


def test_most_decide_what_differs():
    shapes = {"a": (8, 32, 64, 8.0), "b": (9, 32, 64, 8.0), "c": (8, 64, 32, 8.0), "d": (8, 32, 64, 7.5)}
    assert differing(shapes) == [("c", "32x64, most have 64x32"), ("d", "7.5 fps, most have 8")]


def test_one_thread_leaves_the_process_as_it_was(monkeypatch):
    threads = [4]
    torch = SimpleNamespace(get_num_threads=lambda: threads[-1], set_num_threads=threads.append)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with one_thread():
        assert threads == [4, 1] and os.environ["OMP_NUM_THREADS"] == "1"
    assert threads == [4, 1, 4] and os.environ["OMP_NUM_THREADS"] == "3"


def test_a_full_disk_is_an_error_in_words(fakes, tmp_path, bright_set):
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot be written"):
        evaluate(bright_set, metrics=["brightness"], out=tmp_path / "file" / "out")


@pytest.mark.slow
def test_a_run_killed_at_random_gives_the_same(tmp_path):
    """kill -9 of a run with two processes, again and again, until one ends: the same rows as one that was left alone.
    No process stays behind."""
    for number in range(40):
        write_clip(tmp_path / "a" / f"{number:03d}.mp4", 60 + number, frames=24, size=96)
        write_clip(tmp_path / "b" / f"{number:03d}.mp4", 70 + number, frames=24, size=96)
    words = [sys.executable, "-m", "kinema", "evaluate", str(tmp_path / "a"), "--against", str(tmp_path / "b")]
    words += ["--metrics", "psnr,ssim", "--workers", "2", "--json", "-o"]
    subprocess.run([*words, str(tmp_path / "whole")], check=True, capture_output=True)
    generator, killed = np.random.default_rng(0), 0
    while True:
        run = subprocess.Popen([*words, str(tmp_path / "parts"), "--resume"], stdout=subprocess.DEVNULL)
        try:
            run.wait(timeout=float(generator.uniform(2.0, 2.5 + killed)))
            break
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            killed += 1
    assert run.returncode == 0 and killed > 0
    assert rows_of(tmp_path / "parts") == rows_of(tmp_path / "whole")
    time.sleep(1.0)
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in left
