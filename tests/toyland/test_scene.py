"""Scenes: deterministic, inside their world, and equal after a JSON round trip."""

import dataclasses

import pytest

from kinema.toyland import (
    WORLD,
    WORLD_SMALL,
    Actor,
    Scene,
    motion_path,
    sample_scene,
    scene_from_dict,
    scene_from_json,
)


def test_seeded_and_json() -> None:
    scenes = [sample_scene(seed) for seed in range(200)]
    assert scenes == [sample_scene(seed) for seed in range(200)]
    assert len(set(scenes)) == 200
    assert [scene_from_json(scene.to_json()) for scene in scenes] == scenes


@pytest.mark.parametrize("world", [WORLD, WORLD_SMALL])
def test_world_is_covered_and_kept(world) -> None:
    scenes = [sample_scene(seed, world) for seed in range(600)]
    actors = [actor for scene in scenes for actor in scene.actors]
    assert {actor.kind for actor in actors} == set(world.kinds)
    assert {actor.color for actor in actors} == set(world.colors)
    assert {actor.motion for actor in actors} == set(world.motions)
    for name in ("background", "light", "weather", "camera", "style"):
        assert {getattr(scene, name) for scene in scenes} == set(getattr(world, name + "s"))
    assert all(actor.radius * 64 >= (9 if len(scene.actors) == 1 else 8) for scene in scenes for actor in scene.actors)
    if world is WORLD_SMALL:
        assert all(actor.radius * 64 >= 9 for actor in actors)


def test_narrow_world() -> None:
    world = dataclasses.replace(WORLD_SMALL, kinds=("car",), colors=("red",), cameras=("zoom-in",), weathers=("rain",))
    scene = sample_scene(5, world)
    assert scene.camera == "zoom-in" and scene.weather == "rain"


def test_refusals() -> None:
    with pytest.raises(ValueError, match="kind"):
        Actor("pear", "red")
    with pytest.raises(ValueError, match="heading"):
        Actor("ball", "red", motion="diagonal")
    with pytest.raises(ValueError, match="1 to 2"):
        Scene(actors=())
    with pytest.raises(ValueError, match="speed"):
        scene_from_dict({"actors": [{"kind": "ball", "color": "red"}], "speed": 3})
    with pytest.raises(ValueError, match="motion"):
        motion_path("sideways", 3)


def test_paths_do_not_depend_on_fps() -> None:
    for motion in ("left", "right", "up", "down", "diagonal", "circle", "bounce", "stay"):
        slow, fast = motion_path(motion, 17, fps=8), motion_path(motion, 33, fps=16)
        assert abs(slow - fast[::2]).max() < 1e-12
        assert slow.min() >= 0 and slow.max() <= 1
    left = motion_path("left", 40)
    assert left[0, 0] > left[16, 0] == left[39, 0]
