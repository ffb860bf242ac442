"""From nothing to a video model in small steps: the image miniature's recipe, then temporal layers on what it gave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline

import kinema

ROOT = Path(__file__).parents[2]


def train(recipe: str, out: Path, *more: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from kinema.cli.main import main; main()", "train", f"recipes/{recipe}.py"]
    return subprocess.run(
        [*command, "--minutes", "0.1", "--out", str(out), *more], cwd=ROOT, capture_output=True, text=True, timeout=900,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    out = tmp_path_factory.mktemp("image")
    done = train("mini_image", out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_image_model_opens_in_diffusers(image):
    record = json.loads((image / "stages.json").read_text())
    assert [name for name in record if name != "settings"] == ["clips", "vae", "cache", "unet", "export"]
    assert record["vae"]["psnr_db"] > 5 and record["unet"]["samples"] > 0 and "object" in record["unet"]["probes"]
    pipe = StableDiffusionPipeline.from_pretrained(image / "export")
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a red ball", num_inference_steps=2, output_type="np").images[0]
    assert picture.shape == (64, 64, 3) and np.isfinite(picture).all()
    assert sum(file.stat().st_size for file in (image / "export").rglob("*.safetensors")) < 12_000_000
    assert list((image / "sheets").glob("image_*.png"))


def test_temporal_layers_on_it_make_clips(image, tmp_path):
    done = train("mini_zeroscope", tmp_path, "--set", f"image={image / 'export'}")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "stages.json").read_text())["temporal"]
    assert record["spatial_before"] == record["spatial_after"] and record["samples"] > 0
    engine = kinema.load(str(tmp_path / "export"), device="cpu")
    assert engine.family.card.family == "zeroscope"
    clip = engine.generate("a red ball rolls left", frames=5, steps=2, seed=1, profile="exact")
    assert clip.frames().shape == (5, 64, 64, 3)


@pytest.mark.parametrize(
    ("recipe", "setting", "words"),
    [
        ("mini_zeroscope", "image=nowhere", "no unet/config.json"),
        ("mini_image", "start=nowhere", "no model_index.json"),
    ],
)
def test_what_cannot_be_is_refused_before_work(tmp_path, recipe, setting, words):
    refused = train(recipe, tmp_path / "x", "--set", setting)
    assert refused.returncode == 2 and words in refused.stderr + refused.stdout
    assert not (tmp_path / "x").exists()
