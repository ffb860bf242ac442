"""Captions that do not mention the camera."""

from __future__ import annotations

from kinema.toyland.caption import describe_fully, describe_without_camera
from kinema.toyland.scene import WORLD, sample_scene
from kinema.toyland.understand import understand


def test_silence_about_the_camera_leaves_the_rest_as_it_was():
    said = 0
    for seed in range(200):
        scene = sample_scene(seed, WORLD)
        _, stated = describe_fully(scene, seed)
        quiet = describe_without_camera(scene, seed)
        assert understand(quiet).camera is None
        said += stated.camera is not None
        assert understand(quiet).actors[0].color == scene.actors[0].color
    assert said > 40
