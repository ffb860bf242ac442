"""Trajectory error of sets, against the exact tracks of Toyland: its own error is that of the tracker."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import kinema
from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError, RequestError
from kinema.core.plan import Manifest
from kinema.evaluation.yardsticks.contract import ClipFile, SetClip, YardstickSettings
from kinema.evaluation.yardsticks.trajectory import TrajectoryError, errors, mask_centres, paths_of
from kinema.media.write import write
from kinema.toyland.render import render
from kinema.toyland.scene import Actor, Scene

SIDE, FRAMES = 96, 13


@pytest.fixture(scope="module")
def truth():
    """Frames, masks and the exact centres (in px of the frame, as `positions`) of a ball that moves right."""
    scene = Scene((Actor("ball", "red", "right", x=0.5, y=0.55, reach=0.2, radius=0.16),), background="city", decor=5)
    out = render([scene], num_frames=FRAMES, height=SIDE, width=SIDE, fps=6.0)
    return out.frames_BFHWC[0].numpy(), out.masks_BNFHW[0, 0].numpy(), out.tracks_BNF2[0, 0].numpy() + 0.5


def put_clip(folder: Path, frames: np.ndarray, path_F2: np.ndarray | None) -> SetClip:
    """A clip whose frames are these exactly; its file is needed only for its name, and the path beside it."""
    if path_F2 is not None:
        (folder / "one.path.json").write_text(json.dumps({"points": (path_F2 / SIDE).tolist()}))
    return SetClip(ClipFile("one", folder / "one.mp4"), frames, 6.0)


def put_mask(folder: Path, masks: np.ndarray) -> None:
    frames = np.repeat((masks * 255).astype(np.uint8)[..., None], 3, -1)
    write(iter([Chunk(frames, 0, Fraction(6))]), folder / "one.mask.mp4")


@pytest.mark.parametrize(("tracker", "most"), [("probes", 2.0), ("lk", 1.0), ("opencv", 1.5)])
def test_the_error_of_an_exact_clip_is_that_of_its_tracker(truth, tmp_path, tracker, most):
    frames, _, path_F2 = truth
    yardstick = TrajectoryError(YardstickSettings(tracker=tracker))
    row = yardstick.measure(put_clip(tmp_path, frames, path_F2))
    own = float(row["l1"][0])
    assert own < most and row["seen"][0] == 1.0
    if tracker == "probes":  # the given path is 5 px lower: the tracker does not start from it
        moved = yardstick.measure(put_clip(tmp_path, frames, path_F2 + (0, 5)))
        assert float(moved["l1"][0]) == pytest.approx(5, abs=own)
    score = yardstick.score([row, row], [])
    assert score.value == pytest.approx(own) and score.unit == "px" and score.facts["trackers"] == [tracker]


def test_an_object_that_goes_elsewhere_has_its_distance(truth, tmp_path):
    """The path goes left from where the ball goes right: 2 (0, 1, ... 12) / 12 of its way, in the mean all of it."""
    frames, _, path_F2 = truth
    way = path_F2[-1, 0] - path_F2[0, 0]
    other = path_F2.copy()
    other[:, 0] = 2 * path_F2[0, 0] - path_F2[:, 0]
    row = TrajectoryError(YardstickSettings(tracker="lk")).measure(put_clip(tmp_path, frames, other))
    assert float(row["l1"][0]) == pytest.approx(way, abs=1.5)


def test_the_centres_of_a_mask_are_the_path(truth, tmp_path):
    """Tora's protocol. The mask is of another size than the clip; where it is empty, nothing is compared."""
    frames, masks, path_F2 = truth
    put_mask(tmp_path, masks.repeat(2, 1).repeat(2, 2))
    centres_F2 = mask_centres(tmp_path / "one.mask.mp4", FRAMES, (SIDE, SIDE))
    assert np.abs(centres_F2 - path_F2).max() < 0.6
    clip = put_clip(tmp_path, frames, None)
    yardstick = TrajectoryError(YardstickSettings(tracker="lk"))
    yardstick.check([clip.file], [])
    assert float(yardstick.measure(clip)["l1"][0]) < 1.5
    masks = masks.copy()
    masks[5:8] = False
    put_mask(tmp_path, masks)
    assert np.isnan(mask_centres(tmp_path / "one.mask.mp4", FRAMES, (SIDE, SIDE))).any(1).sum() == 3
    assert yardstick.measure(clip)["seen"][0] == 1.0
    put_mask(tmp_path, masks[:9])
    with pytest.raises(MediaError, match=r"9 frames; its clip has 13"):
        yardstick.measure(clip)
    masks[:] = False
    put_mask(tmp_path, masks)
    with pytest.raises(MediaError, match="empty on all frames"):
        yardstick.measure(clip)


def test_distances_by_a_loop():
    off = np.array([[3.0, -4.0], [1.0, 0.0], [np.nan, np.nan], [100.0, 100.0]])
    l1, euclidean, seen = errors(off, np.array([True, True, True, False]))
    assert (l1, euclidean, seen) == pytest.approx(((7 + 1) / 2, (5 + 1) / 2, 2 / 3))
    assert np.isnan(errors(off, np.zeros(4, bool))[0])


def test_a_file_beside_the_clip_goes_before_its_manifest(tmp_path):
    asked = kinema.plan("a red ball", conditions=[kinema.Trajectory(points=((0.2, 0.5), (0.8, 0.5)))])
    file = ClipFile("one", tmp_path / "one.mp4", None, Manifest(kinema="1", plan=asked).model_dump(mode="json"))
    assert paths_of(file)[0].points[0] == (0.2, 0.5)
    (tmp_path / "one.path.txt").write_text("128,128\n192,64\n")  # Tora's canvas of 256 px
    assert paths_of(file)[0].points == ((0.5, 0.5), (0.75, 0.25))
    assert paths_of(ClipFile("two", tmp_path / "two.mp4", None, {"plan": "of another version"})) == ()


def test_unseen_objects_and_missing_paths(tmp_path):
    yardstick = TrajectoryError(YardstickSettings())
    seen, unseen = (
        {"l1": np.array([value]), "error": np.array([value]), "seen": np.array([1.0]), "side": np.array(64),
         "tracker": np.array(2)} for value in (3.2, np.nan)
    )  # fmt: skip
    score = yardstick.score([seen, unseen], [])
    assert (score.value, score.facts["unseen"], score.facts["euclidean_percent_of_side"]) == (3.2, 1, 5.0)
    assert yardstick.score([unseen], []).facts["why"] == "no object was seen"
    clip = put_clip(tmp_path, np.zeros((3, 8, 8, 3), np.uint8), None)
    with pytest.raises(RequestError, match="No clip has a path"):
        yardstick.check([clip.file], [])
    with pytest.raises(MediaError, match="no path"):
        yardstick.measure(clip)
    with pytest.raises(RequestError, match="No tracker 'cotracker'"):
        TrajectoryError(YardstickSettings(tracker="cotracker"))
