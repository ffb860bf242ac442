"""`kinema upscale`: by a model with the clip's own prompt, or by plain resampling."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from cli_tools import run
from safetensors.torch import save_file

import kinema
from kinema.core.chunk import Chunk
from kinema.engine import load as engine_load
from kinema.engine.upscale import default_method, upscale
from kinema.media.manifest import read_manifest
from kinema.media.read import probe, read_video
from kinema.media.write import write
from kinema.post.super_resolution import files
from kinema.post.super_resolution.network import CompactConfig, CompactNetwork
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    scene = render([sample_scene(5, WORLD_MINI)], num_frames=3, height=32, width=48, fps=8.0).frames_BFHWC[0].numpy()
    path = tmp_path_factory.mktemp("clip") / "meadow.mp4"
    plan = kinema.plan("a red ball in a meadow", seed=4, model="kinema-mini-zeroscope")
    made_of = {"kinema": kinema.__version__, "plan": plan.model_dump(mode="json")}
    write([Chunk(scene, 0, 8.0, np.zeros((18_000, 1), np.float32))], path, manifest=made_of, quality="best")
    return path


def test_by_a_model(clip, tmp_path):
    out = tmp_path / "out.mp4"
    found = run("upscale", str(clip), "--steps", "3", "--strength", "0.4", "--device", "cpu", "-o", str(out), "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert (told["width"], told["height"], told["frames"], told["fps"]) == (96, 64, 3, 8.0)
    (made, _), plan = read_video(out), read_manifest(out)["plan"]
    assert made.shape == (3, 64, 96, 3) and probe(out).has_audio
    assert (plan["prompt"], plan["seed"], plan["options"]["strength"]) == ("a red ball in a meadow", 4, 0.4)


def test_kept_previewed_and_resumed(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ("upscale", str(clip), "--steps", "5", "--strength", "0.6", "--device", "cpu", "--json")
    found = run(*asked, "--keep-state", "a.state", "--keep-every", "1", "--preview", "looks/", "-o", "whole.webp")
    assert found.exit_code == 0, found.output
    assert sorted(each.name for each in (tmp_path / "looks").iterdir())
    for command in (asked, ("generate", "--device", "cpu")):
        gone_on = run(*command, "--resume", "a.state", "-o", "again.webp")
        assert gone_on.exit_code == 0, gone_on.output
        assert np.array_equal(read_video("again.webp")[0], read_video("whole.webp")[0])
    other = run(*asked, "--prompt", "a star", "--resume", "a.state", "-o", "other.webp")
    assert other.exit_code == 2 and "another plan" in other.output.replace("\n", " ")
    over = run(*asked, "--keep-state", str(clip), "-o", "other.webp")
    assert over.exit_code == 2 and "written over itself" in over.output.replace("\n", " ")


def test_the_old_way_to_say_it(clip, tmp_path):
    found = run("upscale", str(clip), "--by", "second-pass", "--request-only")
    assert found.exit_code == 0 and "--by second-pass is called --by model now" in found.stderr.replace("\n", " ")
    assert json.loads(found.stdout)["canvas"] == "upscale"
    plan = run(
        "plan", "a boat", "--model", "zeroscope", "--enlarge", "2", "--set", 'second_pass={"model": "xl"}', "--json"
    )
    assert plan.exit_code == 0, plan.output
    assert [step["by"] for step in json.loads(plan.stdout)["upscale"]] == ["zeroscope-xl", "lanczos"]
    assert "enlarge is called upscale = K now" in plan.stderr.replace("\n", " ")


def test_by_lanczos(clip, tmp_path):
    out = tmp_path / "out.mp4"
    found = run("upscale", str(clip), "--by", "lanczos", "--scale", "1.5", "-o", str(out), "--json")
    assert found.exit_code == 0, found.output
    (made, _), (given, _) = read_video(out), read_video(clip)
    assert made.shape == (3, 48, 72, 3) and probe(out).has_audio
    assert read_manifest(out)["upscaled"] == {"clip": "meadow.mp4", "by": "lanczos", "scale": 1.5}
    again = run("rerun", str(out))
    assert again.exit_code == 2 and "was upscaled from meadow.mp4" in again.output.replace("\n", " ")
    small = made.reshape(3, 16, 3, 24, 3, 3).mean((2, 4))
    assert np.abs(small - given.reshape(3, 16, 2, 24, 2, 3).mean((2, 4))).mean() < 3


def test_the_default_sees_the_clip_whole_or_resamples(clip, tmp_path):
    """The partner works at 96 x 96: it holds 96 x 64 at once, 144 x 96 only in tiles."""
    assert default_method(clip, 2) == ("model", "kinema-mini-zeroscope-xl is the upscaler of this clip's model")
    way, why = default_method(clip, 3)
    assert way == "lanczos" and "tiles" in why
    whole, pieces = upscale(clip, scale=2), upscale(clip, scale=3)
    assert (whole.prompt, whole.options["strength"]) == ("a red ball in a meadow", 0.7)
    assert (pieces.prompt, pieces.options["strength"]) == ("", 0.3), "each tile would draw a red ball of its own"
    assert upscale(clip, "detail", scale=3, strength=0.5).prompt == "detail"
    foreign = tmp_path / "foreign.mp4"
    foreign.write_bytes(clip.read_bytes())
    write([Chunk(read_video(clip)[0], 0, 8.0)], foreign, quality="best")
    assert default_method(foreign, 2) == ("lanczos", "no upscale model is known for this clip")
    found = run("upscale", str(foreign), "-o", str(tmp_path / "out.mp4"))
    assert found.exit_code == 0 and "--by model adds detail" in found.output.replace("\n", " ")
    assert probe(tmp_path / "out.mp4").width == 96


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A small random network in place of the shipped one."""
    torch.manual_seed(0)
    config = CompactConfig(features=4, convs=1)
    folder = tmp_path / "mini_upscale"
    folder.mkdir()
    save_file(dict(CompactNetwork(config).state_dict()), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    monkeypatch.setattr(files, "mini_folder", lambda: folder)
    monkeypatch.setattr(engine_load, "mini_folder", lambda: folder)
    return folder


def test_by_the_network(clip, shipped, tmp_path):
    out = tmp_path / "out.mp4"
    found = run("upscale", str(clip), "--by", "network", "--device", "cpu", "-o", str(out), "--json")
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert (told["width"], told["height"], told["frames"], told["fps"]) == (192, 128, 3, 8.0)
    (made, _), step = read_video(out), read_manifest(out)["upscaled"]
    assert made.shape == (3, 128, 192, 3) and probe(out).has_audio
    assert (step["by"], step["scale"], step["network"]) == ("network", 4, "kinema-mini-upscale")
    weights = hashlib.sha256((shipped / "model.safetensors").read_bytes()).hexdigest()
    assert weights in step["weights"].values()
    own = run(
        "upscale", str(clip), "--network", str(shipped), "--scale", "2", "-o", str(tmp_path / "two.mp4"), "--json"
    )
    assert own.exit_code == 0 and json.loads(own.stdout)["width"] == 96
    (plain, _), (given, _) = read_video(tmp_path / "two.mp4"), read_video(clip)
    assert np.abs(plain.reshape(3, 32, 2, 48, 2, 3).mean((2, 4)) - given).mean() < 40, "the same picture"
    for words, text in (
        (("--scale", "5"), "upscales 4 times, not 5"),
        (("--strength", "0.5"), "A network takes no strength"),
        (("--network", "none.pth"), "no such file"),
    ):
        wrong = run("upscale", str(clip), "--by", "network", *words)
        assert wrong.exit_code and text in wrong.output.replace("\n", " "), wrong.output


def test_the_network_is_the_default_for_the_miniature_at_its_own_size(tmp_path):
    made = {"kinema": kinema.__version__, "plan": kinema.plan("a red ball").model_dump(mode="json")}
    for side, scale, way in ((64, 4, "network"), (64, 5, "lanczos"), (128, 2, "lanczos")):
        path = tmp_path / f"{side}.mp4"
        write([Chunk(np.zeros((2, side, side, 3), np.uint8), 0, 8.0)], path, manifest=made)
        assert default_method(path, scale)[0] == way


def test_the_network_within_a_request(shipped, tmp_path):
    """The clip of a request, upscaled from its frames; the manifest has the network's hash, and the rerun is equal."""
    out, again = tmp_path / "out.webp", tmp_path / "again.webp"
    asked = ("a red ball", "--frames", "4", "--steps", "2", "--model", "kinema-mini-zeroscope", "--device", "cpu")
    found = run("generate", *asked, "--upscale", "network:4", "-o", str(out), "--json")
    assert found.exit_code == 0, found.output
    noted = read_manifest(out)
    assert noted["plan"]["upscale"] == [{"by": "network", "scale": 4, "plan": None}]
    assert [name for name in noted["weights"] if name.startswith("network/")]
    assert read_video(out)[0].shape == (4, 256, 256, 3)
    assert run("rerun", str(out), "--device", "cpu", "-o", str(again)).exit_code == 0
    assert np.array_equal(read_video(out)[0], read_video(again)[0])
    wrong = run("plan", *asked, "--upscale", "network:5")
    assert wrong.exit_code == 2 and "at most 4 times" in wrong.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--by", "lanczos", "--strength", "0.5"), "takes no strength"),
        (("--by", "lanczos", "--model", "kinema-mini-wan"), "takes no model"),
        (("--by", "nearest", "--keep-state", "a.state"), "takes no keep_state"),
        (("--by", "lanczos", "--network", "net.pth"), "takes no network"),
        (("--by", "lanczos", "--scale", "0.5"), "1 to 16"),
        (("--by", "lanczos", "--scale", "100"), "Nearest legal value: 16"),
        (("--scale", "40"), "1 to 16"),
        (("--scale", "nan"), "not a plain number"),
        (("--strength", "2"), "strength"),
        (("--model", "kinema-mini-svd"), "canvas = upscale"),
        (("-o", "out.txt"), "no such output format"),
    ],
)
def test_what_cannot_be_is_refused(clip, words, told):
    found = run("upscale", str(clip), *words)
    assert found.exit_code == 2 and told in found.output.replace("\n", " "), found.output
