"""Objects on free paths: rendered where the path says, captioned without a motion, and other scenes as before."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from kinema.toyland.caption import describe_fully
from kinema.toyland.free_path import FORMS, NUM_POINTS, at, free_path
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, Actor, Scene, sample_scene, scene_from_json

FREE = replace(WORLD_MINI, free_paths=1.0, two_actors=0.5, cameras=("still",))


@pytest.mark.parametrize("form", FORMS)
def test_stays_in_its_room_and_moves(form: str) -> None:
    for seed in range(50):
        path = np.array(free_path(random.Random(seed), 0.3, form))
        assert path.shape == (NUM_POINTS, 2)
        assert np.abs(path - 0.5).max() <= 0.3 + 1e-4
        assert np.ptp(path, axis=0).max() > 0.05


def test_a_pause_rests_and_goes_on() -> None:
    steps = [np.hypot(*np.diff(free_path(random.Random(seed), 0.3, "pause"), axis=0).T) for seed in range(30)]
    assert all(step[0] > 0 and step[-1] > 0 for step in steps)
    assert sum(bool((step == 0).any()) for step in steps) > 15


def test_between_points_in_proportion_and_held_at_the_ends() -> None:
    path = ((0.0, 0.0), (1.0, 0.5), (1.0, 1.0))
    assert at(path, 0.25) == (0.5, 0.25)
    assert at(path, -1) == path[0]
    assert at(path, 2) == path[-1]


def test_is_rendered_on_the_path() -> None:
    path = free_path(random.Random(3), 0.3, "wave")
    scene = Scene((Actor("ball", "red", path=path, radius=0.15),), duration=2.0)
    out = render([scene], num_frames=17, height=64, width=64, fps=8.0)
    true_F2 = np.array([at(path, frame / 16) for frame in range(17)]) * 64 - 0.5
    assert np.abs(out.tracks_BNF2[0, 0].numpy() - true_F2).max() < 0.01
    for frame in (0, 8, 16):
        ys, xs = np.nonzero(out.masks_BNFHW[0, 0, frame].numpy())
        assert np.abs(np.array([xs.mean(), ys.mean()]) - true_F2[frame]).max() < 1.0


def test_captions_state_no_motion() -> None:
    for seed in range(60):
        scene = sample_scene(seed, FREE)
        assert all(actor.path for actor in scene.actors)
        text, stated = describe_fully(scene, seed)
        assert all(actor.motion is None for actor in stated.actors)
        assert "  " not in text
        assert len(stated.actors) == len(scene.actors)


def test_a_scene_with_a_path_survives_json_and_others_write_none() -> None:
    free, plain = sample_scene(1, FREE), sample_scene(1, WORLD_MINI)
    assert scene_from_json(free.to_json()) == free
    assert '"path"' not in plain.to_json()
    assert sample_scene(1, replace(WORLD_MINI, free_paths=0.0)) == plain


@pytest.mark.parametrize("path", [((0.5, 0.5),), ((0.1, float("nan")), (0.2, 0.2))])
def test_one_point_or_a_number_that_is_none_is_refused(path: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="actor path must have"):
        Actor("ball", "red", path=path)
