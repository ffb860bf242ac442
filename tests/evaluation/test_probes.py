"""Accuracy of probes, tracks, motion and camera on held-out renders, and their errors on wrong labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinema.core.errors import KinemaError, ModelError
from kinema.evaluation import camera, probes
from kinema.evaluation.cases import HELD_OUT_PROBES, ClipShape, cases, one_object_still_camera
from kinema.evaluation.degrade import degraded
from kinema.evaluation.judge import Judge
from kinema.evaluation.motion import motion_of, trajectory_error
from kinema.evaluation.probes import likeliest, load_probes
from kinema.evaluation.track import iou, track_object
from kinema.toyland.scene import CAMERAS, COLORS, KINDS, WORLD_SMALL, sample_scene

SMALL = replace(
    WORLD_SMALL, kinds=("ball", "square", "triangle", "star", "heart", "car"), styles=("flat",), weathers=("none",),
    two_actors=0.1, moving_camera=0.1, detail="plain",
)  # fmt: skip
FEW = ClipShape(5, 64, 64, 2.2)  # a low frame rate: fast, and objects are seen at several positions
CLIP = ClipShape(17, 64, 64, 8.0)


@pytest.fixture(scope="module")
def clips():
    """(case, reading) of 64 held-out clips of 5 frames."""
    return [(case, load_probes().read(case.frames_FHWC)) for case in cases(SMALL, 64, FEW, first=HELD_OUT_PROBES)]


def share(right) -> float:
    return float(np.mean(list(right)))


def test_places_and_lights(clips):
    for name in ("background", "light"):
        assert share(reading.word(name) == getattr(case.scene, name) for case, reading in clips) >= 0.97


def test_objects_colours_and_number(clips):
    assert share(reading.count() == len(case.scene.actors) for case, reading in clips) >= 0.95
    single = [(case.scene.actors[0], track_object(reading)) for case, reading in clips if len(case.scene.actors) == 1]
    assert share(likeliest(track.belief("kind"), KINDS) == actor.kind for actor, track in single) >= 0.95
    assert share(likeliest(track.belief("color"), COLORS) == actor.color for actor, track in single) >= 0.97


def test_wrong_answers_are_counted_wrong(clips):
    """With the labels of the next clip, the same readings are right only by chance."""
    moved = list(zip([case.scene for case, _ in clips[1:] + clips[:1]], [reading for _, reading in clips], strict=True))
    assert share(reading.word("background") == scene.background for scene, reading in moved) < 0.35
    assert share(reading.word("light") == scene.light for scene, reading in moved) < 0.55
    kinds = [likeliest(track_object(reading).belief("kind"), KINDS) == scene.actors[0].kind for scene, reading in moved]
    assert share(kinds) < 0.4


def test_degraded_pictures_are_still_read():
    found = [(case, load_probes().read(degraded(case.frames_FHWC))) for case in cases(SMALL, 24, FEW, first=20_300_000)]
    assert share(reading.word("background") == case.scene.background for case, reading in found) >= 0.9
    tracks = [(case.scene.actors[0], track_object(reading)) for case, reading in found if len(case.scene.actors) == 1]
    assert share(likeliest(track.belief("color"), COLORS) == actor.color for actor, track in tracks) >= 0.9


def test_whole_toyland():
    world = replace(WORLD_SMALL, other_style=0.4)
    found = [(case, load_probes().read(case.frames_FHWC)) for case in cases(world, 32, FEW, first=20_400_000)]
    assert share(reading.word("background") == case.scene.background for case, reading in found) >= 0.9
    tracks = [(case.scene.actors[0], track_object(reading)) for case, reading in found if len(case.scene.actors) == 1]
    assert share(likeliest(track.belief("kind"), KINDS) == actor.kind for actor, track in tracks) >= 0.85


def test_tracks_and_motions():
    """Tracks are within 1.5 px; motions match their scene, and not another one."""
    right, errors, off = [], [], []
    found = list(cases(SMALL, 20, CLIP, one_object_still_camera, first=HELD_OUT_PROBES))
    for case, other in zip(found, found[1:] + found[:1], strict=True):
        actor, track = case.scene.actors[0], track_object(load_probes().read(case.frames_FHWC))
        motion = motion_of(track)
        right.append((motion.motion, motion.heading) == (actor.motion, actor.heading))
        errors.append(trajectory_error(track, case.path_F2()))
        off.append(trajectory_error(track, other.path_F2()))
    assert share(right) >= 0.95
    assert np.mean(errors) < 2.5 and np.mean(off) > 10


def test_sizes_and_wrong_input():
    scene = sample_scene(HELD_OUT_PROBES, SMALL)
    case = next(cases(SMALL, 1, ClipShape(2, 96, 160, 8.0), lambda each: each == scene, first=HELD_OUT_PROBES))
    reading = load_probes().read(case.frames_FHWC)
    assert reading.size == (96, 160) and reading.word("background") == scene.background
    for wrong in (
        np.zeros((0, 64, 64, 3), np.uint8),
        np.zeros((2, 64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint8),
    ):
        with pytest.raises(ValueError, match="frames must be uint8"):
            load_probes().read(wrong)


def test_removal_is_seen():
    """Compares the same boxes with and without the object."""
    judge = Judge(load_probes(), SMALL)
    found = list(cases(SMALL, 12, FEW, one_object_still_camera, first=20_500_000))
    with_object = [judge.removed(judge.read(case.frames_FHWC), case.boxes_F4(3))["removed"] for case in found]
    without = [judge.removed(judge.read(case.empty_FHWC), case.boxes_F4(3))["removed"] for case in found]
    assert share(with_object) <= 0.1 and share(without) >= 0.9


def test_camera_moves():
    world = replace(SMALL, moving_camera=0.7, two_actors=0.0)
    right = []
    for case in cases(world, 14, CLIP, first=20_100_000):
        found = camera.camera_of(case.frames_FHWC, load_probes().read(case.frames_FHWC))
        right.append(found == case.scene.camera)
    assert share(right) >= 0.8


def test_where_nothing_else_moves_the_whole_picture_tells_the_camera():
    """Every move is detected with its sign, without false positives; still clips are at zero."""
    world = replace(SMALL, motions=("stay",), two_actors=0.0, some_change=0.0, some_spin=0.0)
    moves = [name for name in CAMERAS if name != "still"]

    def strengths(name: str, asked: list[str]) -> np.ndarray:
        clips = cases(replace(world, cameras=(name,)), 5, ClipShape(16, 64, 64, 8.0), first=HELD_OUT_PROBES + 900)
        pairs = [(case.frames_FHWC, load_probes().read(case.frames_FHWC)) for case in clips]
        return np.array([[camera.strength(*pair, move, everything=True) for move in asked] for pair in pairs])

    assert np.abs(strengths("still", moves)).max() < 0.02
    for move, opposite in zip(moves, [moves[number ^ 1] for number in range(8)], strict=True):
        found = strengths(move, [move, opposite])
        assert found[:, 0].min() > 0.1 and np.allclose(found[:, 1], -found[:, 0]), move
    with pytest.raises(ValueError, match="No such camera move"):
        camera.strength(np.zeros((4, 8, 8, 3), np.uint8), None, "dolly")


def test_without_opencv_the_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(KinemaError, match="opencv-python-headless"):
        camera.opencv()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"probes\.safetensors"):
        load_probes(tmp_path)


def test_probes_are_small():
    from importlib.resources import files

    assert (files(probes.__package__) / "probes.safetensors").stat().st_size < 1_500_000  # type: ignore[attr-defined]
    assert load_probes().info["accuracy"]


def test_overlap_of_boxes():
    a = np.array([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 1.0, 1.0]])
    b = np.array([[1.0, 0.0, 3.0, 2.0], [2.0, 2.0, 3.0, 3.0]])
    assert iou(a, b).tolist() == pytest.approx([1 / 3, 0.0])
