"""The editing verbs on the command line: real files in, whole files out, refusals before work."""

from __future__ import annotations

import json
import math
import shutil

import cv2
import numpy as np
import pytest
from cli_tools import run

from kinema.core.chunk import Chunk
from kinema.engine.fill_state import FillState
from kinema.media.manifest import read_manifest
from kinema.media.read import probe, read_video
from kinema.media.write import write

QUICK = ("--profile", "fast", "--seed", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """9 frames of 96x80 at 10 fps with sound; a bright square moves over a plain ground."""
    frames = np.full((9, 80, 96, 3), (90, 120, 60), np.uint8)
    frames += np.random.default_rng(0).integers(0, 6, frames.shape, dtype=np.uint8)
    for index, frame in enumerate(frames):
        frame[30:50, 10 + 2 * index : 30 + 2 * index] = (240, 60, 40)
    tone = np.sin(np.arange(48_000 * 9 // 10) / 30).astype(np.float32)[:, None] * 0.3
    path = tmp_path_factory.mktemp("edit") / "square.mp4"
    write([Chunk(frames, 0, 10.0, tone)], path, quality="best")
    return path


def psnr(a, b):
    return 10 * math.log10(255**2 / max(float(np.mean((a.astype(float) - b) ** 2)), 1e-9))


def test_remove_keeps_everything_about_the_clip(clip, tmp_path):
    out = tmp_path / "gone.mp4"
    done = run("remove", str(clip), "--box", "8,28,66,26", "-o", str(out), "--json", *QUICK)
    found = json.loads(done.stdout)
    assert (found["width"], found["height"], found["frames"], found["fps"]) == (96, 80, 9, 10.0)
    before, after = probe(clip), probe(out)
    for name in ("width", "height", "fps", "num_frames", "seconds", "has_audio", "rotation"):
        assert getattr(before, name) == getattr(after, name), name
    given, made = read_video(clip)[0], read_video(out)[0]
    assert psnr(made[:, 65:], given[:, 65:]) > 45 and psnr(made[:, :15], given[:, :15]) > 45
    assert psnr(made[:, 32:48, 20:60], given[:, 32:48, 20:60]) < 30


def test_outpaint_and_extend_change_size_and_length(clip, tmp_path):
    wide = tmp_path / "wide.mp4"
    assert run("outpaint", str(clip), "--left", "0.25", "--right", "0.25", "-o", str(wide), *QUICK).exit_code == 0
    assert (probe(wide).width, probe(wide).height, probe(wide).num_frames) == (144, 80, 9)
    given = read_video(clip)[0]
    write([Chunk(given, 0, 10.0)], tmp_path / "again.mp4", quality="best")
    only_written = psnr(read_video(tmp_path / "again.mp4")[0][:, :, 20:76], given[:, :, 20:76])
    assert psnr(read_video(wide)[0][:, :, 44:100], given[:, :, 20:76]) > only_written - 1, "a hard edge in 4:2:0"
    longer = tmp_path / "longer.mp4"
    assert run("extend", str(clip), "--seconds", "1", "-o", str(longer), *QUICK).exit_code == 0
    assert probe(longer).num_frames == 19 and probe(longer).has_audio


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("remove", "CLIP"), "Exactly one region"),
        (("remove", "CLIP", "--box", "0,0,1,1", "--click", "3,4"), "Exactly one region"),
        (("remove", "CLIP", "--box", "300,0,40,40"), "box"),
        (("remove", "CLIP", "--click", "500,4"), "click"),
        (("remove", "CLIP", "--box", "8,28,66,26", "--grow", "7"), "--grow is a fraction"),
        (("remove", "CLIP", "--mask", "everything", "--shadow"), "a mask of a part of the frame"),
        (("remove", "CLIP", "--box", "8,28,66,26", "--shape", "bbox", "--ratio", "0.2"), "--ratio is not used"),
        (("outpaint", "CLIP"), "How far"),
        (("outpaint", "CLIP", "--right", "-1"), "--right is a fraction of the width. Legal: 0 to 4"),
        (("extend", "CLIP", "--known", "99"), "frames"),
        (("remove", "missing.mp4", "--box", "0,0,1,1"), "no such file"),
        (("restyle", "CLIP", "ink", "--control", "edge"), "control:edge"),
        (("remove", "CLIP", "--box", "0,0,1,1", "-o", "x.doc"), "output format"),
    ],
)
def test_refusals_come_before_work(clip, tmp_path, arguments, words):
    given = [str(clip) if each == "CLIP" else each for each in arguments]
    done = run(*given)
    assert done.exit_code in (1, 2) and words in done.output, done.output
    assert not [each for each in tmp_path.iterdir() if each.name != "home"]


def test_the_request_can_be_had_instead(clip):
    done = run("edit", str(clip), "a boat", "--click", "20,40", "--request-only")
    request = json.loads(done.stdout)
    assert request["canvas"] == "source" and request["prompt"] == "a boat"
    assert request["conditions"][1]["click"] == [pytest.approx(20 / 96, abs=0.01), pytest.approx(0.5, abs=0.01)]


def test_a_printed_request_works_from_any_folder_and_has_round_numbers(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(clip.parent)
    printed = run("remove", clip.name, "--box", "0.4,0.485,0.2,0.1", "--fill", "propagate", "--request-only").stdout
    source, mask = json.loads(printed)["conditions"]
    assert source["video"] == str(clip) and mask["boxes"] == [[0.4, 0.485, 0.6, 0.585]]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "request.json").write_text(printed)
    monkeypatch.chdir(elsewhere)
    found = run("plan", "--request", "../request.json")
    assert found.exit_code == 0 and "0.4, 0.485, 0.6, 0.585" in found.output, found.output


def test_both_forms_of_a_box_are_named_where_one_was_typed_for_the_other(clip):
    corners = run("generate", "a ball", "--source", str(clip), "--mask", "0.4,0.5,0.2,0.1")
    assert corners.exit_code == 2 and "x0,y0,x1,y1" in corners.output and "x,y,w,h" in corners.output
    assert "0.4,0.5,0.6,0.6" in corners.output
    sizes = run("remove", str(clip), "--box", "0.4,0.4,0.8,0.9")
    assert sizes.exit_code == 2 and "x,y,w,h: width and height" in sizes.output


def test_an_edited_image_is_an_image_and_can_be_made_again(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write([Chunk(read_video(clip)[0][:1], 0, 10.0)], "photo.png")
    done = run("remove", "photo.png", "--box", "8,28,66,26", "--fill", "propagate")
    assert done.exit_code == 0 and "photo-edited.png  (96x80, 1 frame, " in done.stdout, done.output
    assert run("rerun", "photo-edited.png", "-o", "again.png").exit_code == 0
    assert np.array_equal(read_video("again.png")[0], read_video("photo-edited.png")[0])


def test_an_interrupted_fill_resumes(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ("remove", str(clip), "--box", "8,28,66,26", "--fill", "propagate")
    assert run(*asked, "-o", "whole.webp").exit_code == 0
    save = FillState.save

    def interrupted(state, path):
        save(state, path)
        if state.done >= 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FillState, "save", interrupted)
        kept = ("--keep-state", "a.state", "--keep-every", "2", "--preview", "look.png")
        assert run(*asked, *kept, "-o", "stopped.webp").exit_code == 130
    assert not (tmp_path / "stopped.webp").exists() and (tmp_path / "look.png").exists()
    shutil.copy("a.state", "b.state")
    shutil.copytree("a.state.windows", "b.state.windows")
    for command, state in ((("generate",), "a.state"), (asked, "b.state")):
        done = run(*command, "--resume", state, "-o", "again.webp", "--json")
        assert done.exit_code == 0, done.output
        assert np.array_equal(read_video("again.webp")[0], read_video("whole.webp")[0])
        told = json.loads(done.stdout)
        assert told["filled"] == read_manifest("whole.webp")["filled"] == read_manifest("again.webp")["filled"]
        assert not (tmp_path / state).exists() and not (tmp_path / f"{state}.windows").exists(), "finished"


def test_boxes_and_tracking_that_are_doubtful_are_named(tmp_path, monkeypatch):
    """A textured disc passes behind a post; the box covers the left half of it."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(2)
    ground = cv2.GaussianBlur(noise.integers(60, 130, (64, 112, 3)).astype(np.uint8), (0, 0), 2)
    frames = []
    for index in range(20):
        frame = ground.copy()
        cv2.circle(frame, (20 + 4 * index, 32), 14, (230, 60, 50), -1)
        frame[:, 46:66] = (60, 70, 160)
        frames.append(frame)
    write([Chunk(np.stack(frames), 0, 10.0)], "disc.mp4", quality="best")
    asked = ("remove", "disc.mp4", "--follow", "--fill", "propagate")
    (tmp_path / "half.json").write_text(run(*asked, "--box", "6,18,14,28", "--request-only").stdout)
    half = json.loads(run("plan", "--request", "half.json", "--json").stdout)
    assert any("continue outside" in note for note in half["notes"])
    done = run(*asked, "--box", "6,18,28,28", "-o", "gone.mp4", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert any(run_["start"] < 14 and run_["stop"] > 5 for run_ in found["unsure"] + found["lost"])
    assert read_manifest("gone.mp4")["unsure"] == found["unsure"]
    assert not any("continue outside" in note for note in found["plan"]["notes"])
