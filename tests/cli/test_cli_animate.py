"""`kinema animate`: a picture in, a clip out that begins with it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_tools import run
from PIL import Image

from kinema.media.read import read_video
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    drawn = render([sample_scene(5, WORLD_MINI)], num_frames=1, height=64, width=64).frames_BFHWC[0, 0].numpy()
    path = tmp_path_factory.mktemp("photo") / "meadow.png"
    Image.fromarray(drawn).save(path)
    return path, drawn


def test_the_clip_begins_with_the_picture(photo, tmp_path):
    path, drawn = photo
    out = tmp_path / "out.mp4"
    quick = ("--profile", "fast", "--steps", "6", "--frames", "6", "--device", "cpu")
    found = run("animate", str(path), *quick, "--seed", "3", "-o", str(out), "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    frames, fps = read_video(out)
    assert (len(frames), fps) == (told["frames"], told["fps"]) and frames.shape[1:] == (64, 64, 3)
    error = ((frames[0].astype(float) - drawn) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 24


@pytest.mark.parametrize(("words", "model"), [((), "kinema-mini-svd"), (("it rolls",), "kinema-mini-wan")])
def test_a_miniature_that_reads_what_is_given(photo, words, model):
    found = run("animate", str(photo[0]), *words, "--request-only")
    assert json.loads(found.stdout).get("model", "kinema-mini-wan") == model


def test_the_request_can_be_seen(photo):
    found = run("animate", str(photo[0]), "--model", "svd-xt", "--motion", "40", "--fps", "6", "--request-only")
    request = json.loads(found.stdout)
    assert request["model"] == "svd-xt" and request["options"] == {"motion": 40} and request["fps"] == 6
    assert request["conditions"][0]["kind"] == "image" and "canvas" not in request


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("it rolls", "--motion", "40"), "has no option 'motion'"),
        (("--model", "svd-xt", "--motion", "-1"), "motion"),
        (("--model", "svd-xt", "--frames", "900"), "from 2 to 64"),
        (("--model", "svd-xt"), "kinema models pull svd-xt"),
    ],
)
def test_refusals_name_what_is_legal(photo, tmp_path, more, words):
    found = run("animate", str(photo[0]), *more, "-o", str(tmp_path / "out.mp4"))
    assert found.exit_code != 0 and words in " ".join(found.output.split())
    assert not (tmp_path / "out.mp4").exists()
