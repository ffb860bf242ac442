"""The recipes of kinema-mini-clip and kinema-mini-i3d: what their examples are, and what they write."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from training.rehearsal import by_steps

from kinema.features.text_and_pictures import text_and_pictures
from kinema.features.video_encoder import video_encoder
from kinema.toyland.scene import BACKGROUNDS, CAMERAS, COLORS, MOTIONS, WORLD, WORLD_MINI, Actor, Scene, sample_scene
from kinema.toyland.understand import understand
from kinema.training.tasks.clip import SWAPS, caption_stating, twin
from kinema.training.tasks.video_questions import (
    ORDERS,
    QUESTIONS,
    SPEEDS_PX,
    UNKNOWN,
    QuestionClips,
    _answers,
    _arranged,
    has_arrow,
)


@pytest.mark.parametrize("what", SWAPS)
def test_twins_differ_in_one_attribute_that_the_captions_state(what):
    for seed in range(12):
        scene = sample_scene(seed, WORLD if seed % 2 else WORLD_MINI)
        other = twin(scene, what, WORLD, seed)
        changed = {each.name for each in fields(Scene) if getattr(scene, each.name) != getattr(other, each.name)}
        if what in ("color", "kind"):
            first, second = scene.actors[0], other.actors[0]
            assert changed == {"actors"} and scene.actors[1:] == other.actors[1:]
            assert {f.name for f in fields(Actor) if getattr(first, f.name) != getattr(second, f.name)} == {what}
        else:
            assert changed == {what}
            stated = {getattr(understand(caption_stating(each, what, seed)), what) for each in (scene, other)}
            assert stated == {getattr(scene, what), getattr(other, what)}


def test_answers_of_clips_that_run_backwards():
    car = Scene((Actor("car", "red", "left"),), camera="zoom-in", camera_amount=0.3)
    ball = Scene((Actor("ball", "red", "up"),))
    assert has_arrow(car) and not has_arrow(ball)
    assert has_arrow(Scene((Actor("ball", "red"),), weather="rain"))
    forward, back = _answers(car, "forward", 1.0), _answers(car, "reversed", 1.0)
    assert (MOTIONS[forward["motion"]], MOTIONS[back["motion"]]) == ("left", "right")
    assert (CAMERAS[forward["camera"]], CAMERAS[back["camera"]]) == ("zoom-in", "zoom-out")
    assert (ORDERS[forward["order"]], ORDERS[back["order"]]) == ("forward", "reversed")
    assert _answers(ball, "reversed", 1.0)["order"] == UNKNOWN  # a ball looks the same backwards
    assert _answers(ball, "shuffled", 1.0)["speed"] == UNKNOWN
    assert [_answers(ball, "forward", px)["speed"] for px in (0.0, 1.0, 9.0)] == [0, 2, len(SPEEDS_PX)]
    assert COLORS[back["color"]] == "red" and BACKGROUNDS[back["background"]] == "meadow"


def test_clips_are_cut_in_the_order_that_they_are_labelled_with(tmp_path):
    clips = QuestionClips(tmp_path / "clips.npy", WORLD, range(3), side=16, frames=32)
    generator = torch.Generator().manual_seed(0)
    assert _arranged(6, "reversed", generator).tolist() == [5, 4, 3, 2, 1, 0]
    assert _arranged(6, "swapped", generator).tolist() == [1, 0, 3, 2, 5, 4]
    assert sorted(_arranged(16, "shuffled", generator).tolist()) == list(range(16))
    x, right = clips.draw([0, 1], generator, orders=["reversed"])
    assert x.shape == (2, 3, 16, 16, 16) and x.min() >= -1 and x.max() <= 1 and set(right) == set(QUESTIONS)
    frames = ((x[0].permute(1, 2, 3, 0) + 1) * 127.5).round().byte().numpy()
    place = [int(np.abs(clips.frames_SFHWC[0].astype(int) - each).sum((1, 2, 3)).argmin()) for each in frames]
    assert place == sorted(place, reverse=True)


def test_the_recipe_of_the_clip(tmp_path):
    done = by_steps("mini_clip", tmp_path / "run", PAIRS=10, HELD_OUT_PAIRS=10)
    assert "retrieved_percent" in done
    encoder = text_and_pictures(str(tmp_path / "run" / "export"))
    assert encoder.size_px == 64 and encoder.texts(["a red ball"]).shape == (1, 128)
    card = json.loads((tmp_path / "run" / "export" / "card.json").read_text())
    assert card["weights_sha256"] == {"model.safetensors": encoder.digest}


def test_the_recipe_of_the_video_encoder(tmp_path):
    done = by_steps("mini_i3d", tmp_path / "run", CLIPS=4, HELD_OUT_CLIPS=4)
    assert "motion_percent" in done
    encoder = video_encoder(f"mini-i3d:{tmp_path / 'run' / 'export'}")
    clips = np.random.default_rng(0).integers(0, 256, (2, 9, 40, 56, 3), dtype=np.uint8)
    features = encoder(clips)
    assert features.shape == (2, 128) and features.dtype == np.float64 and np.isfinite(features).all()
    assert encoder(clips[1:]) == pytest.approx(features[1:], abs=1e-5)  # a clip does not depend on the batch
    assert encoder(clips.astype(np.float32)) == pytest.approx(features)
    with pytest.raises(ValueError, match="at least 8 frames"):
        encoder(clips[:, :7])
