"""`kinema mask`: from a click to files, and refusals before any work."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from cli_tools import answer, process, run

from kinema.cli.where import parse_box, parse_click
from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.media.read import probe, read_video
from kinema.media.write import write


@pytest.fixture
def clip(tmp_path: Path) -> str:
    """A red square that moves to the right over green: 6 frames of 96x64 at 12 fps."""
    frames_FHWC = np.full((6, 64, 96, 3), (60, 140, 70), np.uint8)
    for index, frame_HWC in enumerate(frames_FHWC):
        frame_HWC[20:44, 20 + 4 * index : 44 + 4 * index] = (210, 50, 40)
    write([Chunk(frames_FHWC, 0, 12.0)], tmp_path / "clip.mp4", quality="best")
    return "clip.mp4"


def squares(masks_FHW: np.ndarray) -> list[float]:
    """IoU of each mask with the fixture's square."""
    found = []
    for index, mask_HW in enumerate(masks_FHW):
        truth_HW = np.zeros(mask_HW.shape, bool)
        truth_HW[20:44, 20 + 4 * index : 44 + 4 * index] = True
        found.append((mask_HW & truth_HW).sum() / (mask_HW | truth_HW).sum())
    return found


@pytest.mark.parametrize("way", [("--click", "32,32"), ("--box", "18,18,28,28"), ("--click", "0.33,0.5")])
def test_a_clip_of_the_same_size_length_and_rate(clip, way):
    found = run("mask", clip, *way, "-o", "mask.mp4", "--preview", "seen.mp4", "--json")
    assert found.exit_code == 0, found.output
    told = answer(found)
    assert (told["path"], told["frames"], told["seen_frames"]) == ("mask.mp4", 6, 6)
    masks_FHWC, fps = read_video("mask.mp4")
    assert masks_FHWC.shape == (6, 64, 96, 3) and fps == 12
    assert min(squares(masks_FHWC[..., 0] > 127)) > 0.85
    assert probe("seen.mp4").num_frames == 6


def test_a_folder_of_pictures_and_a_coarser_shape(clip):
    box = run("mask", clip, "--box", "18,18,28,28", "-o", "frames/", "--shape", "bbox_expand", "--ratio", "0.25")
    assert box.exit_code == 0, box.output
    assert sorted(each.name for each in Path("frames").glob("*.png")) == [f"{index:05d}.png" for index in range(6)]
    masks_FHWC, _ = read_video("frames")
    assert set(np.unique(masks_FHWC)) == {0, 255}
    assert abs(int(masks_FHWC[0, ..., 0].any(0).sum()) - 36) <= 3, "24 and a quarter of it on either side"
    named = run("mask", clip, "--click", "32,32")
    assert named.exit_code == 0 and Path("clip-mask.mp4").is_file(), named.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Exactly one object"),
        (("--click", "3,3", "--box", "1,1,8,8"), "Exactly one object"),
        (("--click", "200,3"), "outside"),
        (("--click", "-0.1,0.5"), "outside"),
        (("--click", "3"), "not 2 numbers"),
        (("--box", "3,3,0,9"), "empty"),
        (("--box", "90,3,20,9"), "outside"),
        (("--box", "a,b,c,d"), "not 4 numbers"),
        (("--object", " "), "--object is empty"),
        (("--click", "3,3", "--ratio", "2"), "ratio"),
        (("--click", "3,3", "-o", "mask.gif"), "shades"),
        (("--click", "3,3", "-o", "mask.png"), "one frame"),
        (("--click", "3,3", "-o", "no/such/mask.mp4"), "does not exist"),
        (("--click", "3,3", "-o", "clip.mp4"), "three names"),
        (("--click", "3,3", "-o", "m.mp4", "--preview", "m.mp4"), "three names"),
    ],
)
def test_refused_before_any_work(clip, arguments, words, monkeypatch):
    monkeypatch.setattr("kinema.segmentation.track.follow", lambda *_, **__: pytest.fail("work was begun"))
    before = sorted(Path().iterdir())
    found = run("mask", clip, *arguments, "--json")
    assert found.exit_code == 2, found.output
    assert words in answer(found)["message"]
    assert sorted(Path().iterdir()) == before


def test_a_word_without_weights_says_what_to_pull(clip, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    found = run("mask", clip, "--object", "the square", "-o", "mask.mp4", "--json")
    assert found.exit_code == 1
    assert answer(found)["error"] == "WeightsMissing" and "models pull" in answer(found)["message"]
    assert not Path("mask.mp4").exists()


def test_numbers_are_pixels_where_any_is_above_one():
    assert parse_click("0.25, 0.5", 96, 64) == (0.25, 0.5)
    assert parse_click("1,1", 96, 64) == (1, 1)
    assert parse_click("48,0", 96, 64) == (48.5 / 96, 0.5 / 64)
    assert parse_box("0.25,0.25,0.5,0.75", 96, 64) == (0.25, 0.25, 0.75, 1.0)
    assert parse_box("24,16,48,48", 96, 64) == (0.25, 0.25, 0.75, 1.0)
    for text in ("96,10", "nan,1", "1,2,3", ""):
        with pytest.raises(RequestError) as error:
            parse_click(text, 96, 64)
        assert error.value.legal
    with pytest.raises(RequestError) as error:
        parse_box("80,0,32,32", 96, 64)
    assert error.value.nearest == "80,0,16,32"


@pytest.mark.slow  # as test_ctrl_c_leaves_no_half_file of `kinema generate`
def test_ctrl_c_leaves_nothing_behind(tmp_path):
    frames_FHWC = np.random.default_rng(0).integers(0, 255, (40, 240, 320, 3), dtype=np.uint8)
    write([Chunk(frames_FHWC, 0, 12.0)], tmp_path / "noise.mp4", quality="draft")
    code = "from kinema.cli.main import main; main()"
    running = process("-c", code, "mask", "noise.mp4", "--click", "100,100", "-o", "mask.mp4", cwd=tmp_path)
    until = time.monotonic() + 120
    while not list(tmp_path.glob(".mask.partial*")) and time.monotonic() < until and running.poll() is None:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGINT)
    _, told = running.communicate(timeout=120)
    assert running.returncode == 130, told
    assert [each.name for each in tmp_path.iterdir()] == ["noise.mp4"]
