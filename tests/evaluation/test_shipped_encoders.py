"""The shipped encoders on held-out Toyland: kinema-mini-clip tells captions apart, kinema-mini-i3d sees time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kinema
from kinema.features.text_and_pictures import text_and_pictures
from kinema.features.video_encoder import video_encoder
from kinema.toyland.caption import describe
from kinema.toyland.render import render
from kinema.toyland.scene import COLORS, WORLD, sample_scene

FIRST = 33_000_000
MINIATURES = Path(kinema.__file__).parent / "miniatures"


@pytest.fixture(scope="module")
def scenes():
    return [sample_scene(FIRST + n, WORLD) for n in range(32)]


@pytest.fixture(scope="module")
def clips(scenes) -> np.ndarray:
    return render(scenes, num_frames=16, height=64, width=64, fps=8.0).frames_BFHWC.numpy()


@pytest.mark.parametrize(("name", "most_bytes"), [("mini_clip", 4_000_000), ("mini_i3d", 2_500_000)])
def test_cards_state_the_weights_and_how_they_were_made(name, most_bytes):
    card = json.loads((MINIATURES / name / "card.json").read_text())
    encoder = text_and_pictures() if name == "mini_clip" else video_encoder()
    assert card["weights_sha256"] == {"model.safetensors": encoder.digest}
    assert (MINIATURES / name / "model.safetensors").stat().st_size <= most_bytes
    last = list(card["training"]["stages"].values())[-1]
    assert last["samples"] > 10_000 and last["train_seconds"] > 60 and Path(card["recipe"]).parent.name == "recipes"


def test_mini_clip_finds_captions_and_colours(scenes, clips):
    encoder = text_and_pictures()
    pictures = encoder.pictures(clips[:, 7])
    scores = pictures @ encoder.texts([describe(scene, 3) for scene in scenes]).T
    assert (scores.argmax(1) == np.arange(32)).mean() >= 0.7, "the own caption among 32"
    own = np.diag(scores)
    swapped = [
        replace(scene, actors=(replace(scene.actors[0], color=COLORS[(COLORS.index(scene.actors[0].color) + 3) % 8]),
                               *scene.actors[1:])) for scene in scenes
    ]  # fmt: skip
    other = (pictures * encoder.texts([describe(scene, 3) for scene in swapped])).sum(1)
    assert (own > other).mean() >= 0.85


def test_mini_i3d_sees_time(clips):
    """How far a change moves the features, relative to the distance of clips from their mean."""
    encoder = video_encoder()
    features = encoder(clips)
    spread = np.linalg.norm(features - features.mean(0), axis=1).mean()
    order = np.random.default_rng(0).permutation(16)
    changed = {"reversed": clips[:, ::-1], "shuffled": clips[:, order], "frozen": np.repeat(clips[:, :1], 16, 1)}
    moved = {name: np.linalg.norm(encoder(each) - features, axis=1).mean() / spread for name, each in changed.items()}
    noise = np.clip(clips + np.random.default_rng(0).normal(0, 2, clips.shape), 0, 255).astype(np.uint8)
    assert np.linalg.norm(encoder(noise) - features, axis=1).mean() / spread < 0.2
    assert moved["reversed"] > 0.3 and moved["shuffled"] > 0.5 and moved["frozen"] > 0.3, moved
