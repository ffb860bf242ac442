"""Captions are true and `understand` parses them; it accepts any text."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.toyland import WORLD_SMALL, ActorWords, describe, describe_fully, sample_scene, understand


@pytest.mark.parametrize("world", [None, WORLD_SMALL])
def test_captions_are_understood_and_true(world) -> None:
    for seed in range(500):
        scene = sample_scene(seed, world) if world else sample_scene(seed)
        text, stated = describe_fully(scene, seed)
        assert understand(text) == stated, text
        assert text == describe(scene, seed)
        for name in ("background", "light", "weather", "camera", "style"):
            assert getattr(stated, name) in (None, getattr(scene, name))
        for actor, said in zip(scene.actors, stated.actors, strict=True):
            assert (said.kind, said.color) == (actor.kind, actor.color)
            assert said.motion in (None, actor.motion) and said.change in (None, actor.change)
            assert said.heading in (None, actor.heading) and (said.spin is None or actor.spin)


def test_wordings_vary() -> None:
    scene = sample_scene(7)
    assert len({describe(scene, seed) for seed in range(50)}) > 15


@pytest.mark.parametrize(
    ("text", "kind", "color", "motion"),
    [
        ("A crimson sphere rolls left over a hill", "ball", "red", "left"),
        ("The car is blue. The car drives to the right.", "car", "blue", "right"),
        ("a golden star, rising", "star", "yellow", "up"),
        ("An emerald hot air balloon drifts upwards", "balloon", "green", "up"),
        ("a spaceship flies diagonally", "rocket", None, "diagonal"),
        ("bouncing pink heart", "heart", "pink", "bounce"),
        ("a white duck circling over the lake", "bird", "white", "circle"),
        ("a red circle moves in circles", "ball", "red", "circle"),
        ("a violet cube goes from left to right", "square", "purple", "right"),
    ],
)
def test_synonyms(text: str, kind: str, color: str | None, motion: str) -> None:
    (actor,) = understand(text).actors
    assert (actor.kind, actor.color, actor.motion) == (kind, color, motion)


def test_whole_sentences() -> None:
    seen = understand("At night, a small blue fish swims in circles in the ocean; the camera zooms in")
    assert seen.actors == (ActorWords("fish", "blue", "circle", size="small"),)
    assert (seen.light, seen.background, seen.camera) == ("night", "sea", "zoom-in")
    seen = understand("pixel art of a red car and a green boat both moving left in the rain, camera pans right")
    assert [actor.motion for actor in seen.actors] == ["left", "left"]
    assert (seen.style, seen.weather, seen.camera) == ("pixel", "rain", "pan-right")
    seen = understand("a ring")
    assert seen.actors == (ActorWords("ring"),) and seen.background is seen.light is seen.camera is None


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_understand_never_raises(text: str) -> None:
    understand(text)


def test_understand_survives_shuffled_captions() -> None:
    rng = random.Random(1)
    for seed in range(150):
        pieces = describe(sample_scene(seed), seed).split() + rng.choices(
            ["the", "both", "@kind:", "is", ";", "@"], k=3
        )
        rng.shuffle(pieces)
        understand(" ".join(pieces))
    understand("red ball " * 5000)
