"""The built-in image miniature: its card is correct, diffusers loads it, and its images match the prompts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import kinema
from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import track_object
from kinema.weights.store import digests

FOLDER = Path(kinema.__file__).parent / "miniatures" / "mini_image"
CASES = [
    ("red", "car"), ("blue", "star"), ("yellow", "square"), ("green", "heart"), ("pink", "triangle"), ("white", "star"),
    ("orange", "car"), ("purple", "ball"),
]  # fmt: skip


def test_the_card_names_its_weights():
    card = json.loads((FOLDER / "card.json").read_text())
    assert card["weights_sha256"] == digests(FOLDER)
    assert card["training"]["stages"]["vae"]["psnr_db"] > 30 and card["training"]["stages"]["unet"]["samples"] > 50_000
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) < 10_000_000


def test_it_draws_what_it_is_told():
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(FOLDER)
    pipe.set_progress_bar_config(disable=True)
    made = pipe(
        [f"a {color} {kind} over a green hill by day" for color, kind in CASES], num_inference_steps=12,
        guidance_scale=5.0, generator=torch.Generator().manual_seed(0), output_type="np",
    ).images  # fmt: skip
    right = 0
    for picture, (color, kind) in zip((made * 255).round().astype(np.uint8), CASES, strict=True):
        track = track_object(load_probes().read(picture[None]))
        kinds = ("ball", "square", "triangle", "star", "heart", "car")
        right += track.word("kind", kinds) == kind and track.word("color") == color
    assert right >= 6


def test_a_motion_adapter_can_stand_on_it(tmp_path):
    """A new adapter adds nothing: every frame is an image of the image model."""
    from diffusers import MotionAdapter

    MotionAdapter(
        block_out_channels=(64, 64, 96),
        motion_layers_per_block=1,
        motion_num_attention_heads=4,
        use_motion_mid_block=False,
    ).save_pretrained(tmp_path / "still")  # fmt: skip
    engine = kinema.load(str(tmp_path / "still"), device="cpu")
    options = {"base": "kinema-mini-image"}
    clip = engine.generate("a red car by day", frames=3, steps=4, seed=1, profile="exact", options=options)
    frames = clip.frames()
    assert frames.shape == (3, 64, 64, 3) and clip.plan.width == 64
    with pytest.raises(kinema.RequestError, match="cannot generate"):
        engine.plan("a red car", size="70x64", options=options)
