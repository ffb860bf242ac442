"""Paths from words: equal to the centres of the objects in a rendering of the same scene, whatever the camera does."""

from __future__ import annotations

import numpy as np
import pytest

import kinema
from kinema.toyland.render import render
from kinema.toyland.scene import AMOUNT, CAMERAS
from kinema.toyland.understand import understand
from kinema.toyland.worded_paths import worded_paths, worded_scene

SENTENCES = (
    "a red ball", "a red ball rolls left and a blue star jumps", "a green car drives right", "a heart circles",
    "a red ball rises and a blue heart sinks", "a yellow star flies diagonally up to the right",
)  # fmt: skip


@pytest.mark.parametrize("size", [(48, 48), (40, 72)], ids=["square", "wide"])
def test_paths_are_where_objects_are_drawn(size: tuple[int, int]) -> None:
    height, width = size
    for number, camera in enumerate(CAMERAS):
        words = f"{SENTENCES[number % len(SENTENCES)]}, {'' if camera == 'still' else 'the camera ' + MOVES[camera]}"
        said = understand(words)
        assert (said.camera or "still") == camera, words
        paths = worded_paths(said, 9, fps=8.0, duration=2.0, aspect=width / height)
        drawn = render([worded_scene(said, 2.0)], num_frames=9, height=height, width=width, fps=8.0)
        assert len(paths) == len(said.actors) >= 1
        for path_F2, track_F2 in zip(paths, drawn.tracks_BNF2[0].numpy(), strict=False):
            np.testing.assert_allclose(path_F2, (track_F2 + 0.5) / (width, height), atol=1e-5)


MOVES = {
    "pan-left": "pans to the left", "pan-right": "pans to the right", "tilt-up": "tilts up", "tilt-down": "tilts down",
    "zoom-in": "zooms in", "zoom-out": "zooms out",
    "roll-left": "rolls to the left", "roll-right": "rolls to the right",
}  # fmt: skip


def test_two_objects_have_a_path_each_and_the_camera_moves_what_rests() -> None:
    plan = kinema.plan("a red ball rolls left and a blue star rests", model="kinema-mini-wan", seed=1)
    ball, star = plan.conditions
    assert (ball.object, star.object) == ("red ball", "blue star")
    assert ball.points[0][0] > ball.points[-1][0] and star.points[0] == star.points[-1]
    assert abs(ball.points[0][1] - star.points[0][1]) > 0.35, "they pass each other"
    (car,) = kinema.plan("a green car, the camera pans right", model="kinema-mini-wan", seed=1).conditions
    moved = car.points[-1][0] - car.points[0][0]
    assert moved == pytest.approx(-sum(AMOUNT["pan"]) / 2 * 16 / 17, abs=0.02), "it falls behind the camera"
    (note,) = [
        note for note in kinema.plan("a car, the camera pans right", model="kinema-mini-wan").notes if "path" in note
    ]
    assert "(camera pan-right)" in note
