"""The recipe of the image miniature, and those of the video miniatures on top of its result, with few steps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline
from PIL import Image
from rehearsal import HOW, ROOT, by_steps, by_the_clock
from typer.testing import CliRunner

import kinema
from kinema.cli.main import app

SMALL_VAE = {
    "block_out_channels": (32, 32, 32), "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3, "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 32,
    "sample_size": 64,
}  # fmt: skip
"""Half as wide as the recipe's."""


@pytest.fixture(scope="module", params=HOW)
def how(request):
    return request.param


@pytest.fixture(scope="module")
def train(how):
    return by_steps if how == "steps" else by_the_clock


@pytest.fixture(scope="module")
def image(how, train, shared):
    smaller = {"VAE": SMALL_VAE} if how == "steps" else {}
    return shared(f"image-{how}", lambda out: train("mini_image", out, **smaller))


def test_the_image_model_opens_in_diffusers(image):
    record = json.loads((image / "stages.json").read_text())
    assert [name for name in record if name not in ("schema", "settings")] == [
        "clips",
        "vae",
        "cache",
        "unet",
        "export",
    ]
    assert record["vae"]["psnr_db"] > 5 and record["unet"]["samples"] > 0 and "object" in record["unet"]["probes"]
    pipe = StableDiffusionPipeline.from_pretrained(image / "export")
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a red ball", num_inference_steps=2, output_type="np").images[0]
    assert picture.shape == (64, 64, 3) and np.isfinite(picture).all()
    assert sum(file.stat().st_size for file in (image / "export").rglob("*.safetensors")) < 12_000_000
    assert list((image / "sheets").glob("image_*.png"))


@pytest.fixture(scope="module")
def layers(how, train, image, shared):
    return shared(f"layers-{how}", lambda out: train("mini_zeroscope", out, "--set", f"image={image / 'export'}"))


def test_temporal_layers_on_it_make_clips(image, layers):
    record = json.loads((layers / "stages.json").read_text())["temporal"]
    assert record["frozen_before"] == record["frozen_after"] and record["samples"] > 0
    assert sum(file.stat().st_size for file in (layers / "export").rglob("*.safetensors")) < 5_000_000
    engine = kinema.load(str(layers / "export"), device="cpu")
    card = engine.family.card
    assert card.family == "zeroscope" and card.options["base"].default == str((image / "export").resolve())
    fields = {"frames": 5, "steps": 2, "seed": 1, "profile": "exact"}
    clip = engine.generate("a red ball rolls left", **fields)
    assert clip.frames().shape == (5, 64, 64, 3)
    shipped = engine.generate("a red ball rolls left", **fields, options={"base": "kinema-mini-image"}).frames()
    assert np.abs(shipped.astype(int) - clip.frames()).mean() > 5, "another image model gives other frames"


@pytest.mark.slow
def test_temporal_layers_that_upscale_its_clips(train, image, layers, tmp_path):
    base, first = image / "export", layers / "export"
    train("mini_zeroscope_xl", tmp_path, "--set", f"image={base}", "--set", f"start={first}")
    record = json.loads((tmp_path / "stages.json").read_text())["temporal"]
    assert record["frozen_before"] == record["frozen_after"]
    upscaled = {"by": str(tmp_path / "export"), "strength": 0.7, "width": 96, "height": 96, "steps": 3,
              "options": {"base": str(base)}}  # fmt: skip
    engine = kinema.load(str(first), device="cpu")
    fields = {"frames": 4, "steps": 2, "seed": 1, "profile": "exact", "options": {"base": str(base)}}
    assert engine.generate("a red ball", upscale=upscaled, **fields).frames().shape == (4, 96, 96, 3)


def test_motion_modules_with_a_domain_adapter_make_clips(train, image, tmp_path):
    train("mini_animatediff", tmp_path, "--set", f"image={image / 'export'}", "--set", "style=neon")
    record = json.loads((tmp_path / "stages.json").read_text())
    assert [name for name in record if name != "schema"][:5] == ["clips", "cache", "domain", "motion", "export"]
    assert record["motion"]["frozen_before"] == record["motion"]["frozen_after"]
    engine = kinema.load(str(tmp_path / "export"), device="cpu")
    adapter = {"kind": "style", "adapter": str(tmp_path / "domain.safetensors"), "weight": 1.0}
    fields = {"frames": 3, "steps": 2, "seed": 1, "profile": "exact", "options": {"base": str(image / "export")}}
    clips = [engine.generate("a red ball", conditions=each, **fields).frames() for each in ([], [adapter])]
    assert clips[0].shape == (3, 64, 64, 3) and not np.array_equal(*clips)


def test_motion_modules_of_own_clips(train, image, tmp_path):
    """A folder of clips with captions instead of Toyland: reported, encoded once, with a domain adapter."""
    clips = tmp_path / "clips"
    asked = ["toyland", "render", "-o", str(clips), "--num", "3", "--size", "64x64", "--frames", "16", "--fps", "8"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    (clips / "broken.mp4").write_bytes(b"nothing")
    out = tmp_path / "out"
    told = train("mini_animatediff", out, "--data", str(clips), "--set", f"image={image / 'export'}")
    assert "refused: broken.mp4" in (out / "data.txt").read_text() and "3 clips" in told
    record = json.loads((out / "stages.json").read_text())
    assert [name for name in record if name != "schema"][:5] == [
        "clips",
        "cache",
        "domain",
        "motion",
        "export",
    ] and record["cache"]["64x64"] == 3
    assert record["motion"]["frozen_before"] == record["motion"]["frozen_after"]
    scheduler = json.loads((out / "export" / "scheduler" / "scheduler_config.json").read_text())
    assert scheduler["rescale_betas_zero_snr"], "the image model predicts velocities"
    engine = kinema.load(str(out / "export"), device="cpu")
    fields = {"frames": 3, "steps": 2, "seed": 1, "options": {"base": str(image / "export")}}
    assert engine.generate("a red ball", **fields).frames().shape == (3, 64, 64, 3)


def test_stable_video_diffusion_on_it_makes_a_picture_move(train, image, layers, tmp_path):
    """With another recipe's clips and latents."""
    train("mini_svd", tmp_path, "--set", f"image={image / 'export'}", "--set", f"clips={layers}")
    record = json.loads((tmp_path / "stages.json").read_text())
    assert "first_frame_db" in record["quality"] and record["decoder"]["psnr_db"] > 5
    assert not (tmp_path / "latents").exists(), "uses the other recipe's clips"
    drawing = tmp_path / "picture.png"
    Image.new("RGB", (64, 64), (200, 60, 40)).save(drawing)
    engine = kinema.load(str(tmp_path / "export"), device="cpu")
    assert engine.family.card.frames.trained == 14
    clip = engine.generate("", image=str(drawing), frames=4, steps=2, seed=1, profile="exact")
    assert clip.frames().shape == (4, 64, 64, 3)


@pytest.mark.parametrize(
    ("recipe", "setting", "words"),
    [
        ("mini_zeroscope", "image=nowhere", "no unet/config.json"),
        ("mini_zeroscope", "layers=some", "temporal, all"),
        ("mini_zeroscope", "data=nowhere", "No such folder: nowhere"),
        ("mini_animatediff", "side=9", "side must be 32 to 2048"),
        ("mini_animatediff", "colour=red", "No such setting: colour"),
        ("mini_svd", "data=clips", "No such setting: data"),
        ("mini_zeroscope", "clips=nowhere", "has no latents"),
        ("mini_zeroscope_xl", "start=nowhere", "has no config.json"),
        ("mini_animatediff", "style=baroque", "flat, crayon, pixel, neon"),
        ("mini_animatediff", "adapter=maybe", "on or off"),
        ("mini_svd", "start=nowhere", "no unet/config.json"),
        ("mini_image", "start=nowhere", "no model_index.json"),
        ("mini_image", "kinds=unicorn", "No such kind: unicorn"),
    ],
)
def test_what_cannot_be_is_refused_before_work(tmp_path, recipe, setting, words):
    asked = ["train", str(ROOT / "recipes" / f"{recipe}.py"), "--out", str(tmp_path / "x"), "--set", setting]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 2 and words in " ".join(refused.output.split())
    assert not (tmp_path / "x").exists()
