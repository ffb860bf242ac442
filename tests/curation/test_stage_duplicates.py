"""Copies are found whatever was done to them, and nothing else is a copy."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_clips import encoded

from kinema.curation.stage import CurationSettings
from kinema.curation.stages.duplicates import Duplicates, distance, hashed, parsed_hashes
from kinema.curation.stages.similar import Similar

STAGE = Duplicates(CurationSettings())


def scene(seed: int, num: int = 20) -> np.ndarray:
    """Soft shapes that drift, 120 x 160."""
    cells = np.random.default_rng(seed).integers(0, 255, (8, 16, 3), np.uint8)
    wide = cv2.resize(cells, (320, 120), interpolation=cv2.INTER_CUBIC)
    return np.stack([wide[:, 4 * k : 4 * k + 160] for k in range(num)])


CHANGES = {
    "compressed": (lambda frames: frames, {"crf": "38"}),
    "scaled": (lambda frames: np.stack([cv2.resize(one, (96, 72)) for one in frames]), {}),
    "squeezed": (lambda frames: np.stack([cv2.resize(one, (160, 90)) for one in frames]), {}),
    "trimmed": (lambda frames: frames[5:-2], {}),
    "cropped": (lambda frames: frames[:, 4:-4, 4:-4], {}),
    "brighter": (lambda frames: np.clip(frames * 1.1 + 8, 0, 255).astype(np.uint8), {}),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows of eight scenes, a0 to a7, and of a copy of a0 for each change, in names that sort after it."""
    folder = tmp_path_factory.mktemp("copies")
    clips = [encoded(folder / f"a{seed}.mp4", scene(seed)) for seed in range(8)]
    for name, (change, options) in CHANGES.items():
        clips.append(encoded(folder / f"b-{name}.mp4", change(scene(0)), **options))
    return [{"id": clip.id, **STAGE.measure(clip)} for clip in clips]


def test_every_copy_is_found_and_nothing_else(rows):
    found = {name: value["duplicate_of"] for name, value in STAGE.across(reversed(rows))}  # in any order of rows
    assert found == {row["id"]: "a0.mp4#0-20" for row in rows[8:]}


def test_the_first_by_name_is_kept_and_copies_of_copies_point_to_it(rows):
    chained = [dict(rows[8], id="c"), dict(rows[0], id="b"), dict(rows[10], id="a")]
    assert {name: value["duplicate_of"] for name, value in STAGE.across(chained)} == {"b": "a", "c": "a"}


def test_a_moment_of_a_clip_is_not_the_clip(rows):
    whole = parsed_hashes(rows[0]["frame_hashes"])
    other = parsed_hashes(rows[1]["frame_hashes"])
    assert distance(whole, other[:12] + whole[:8]) > 10
    assert distance(whole, whole[4:]) == 0


def test_flat_frames_have_no_hash_and_black_clips_are_no_copies(tmp_path):
    black = np.zeros((12, 48, 64, 3), np.uint8)
    assert hashed(black[0]) == "-"
    clips = [encoded(tmp_path / f"{name}.mp4", black) for name in "ab"]
    assert list(STAGE.across([{"id": clip.id, **STAGE.measure(clip)} for clip in clips])) == []
    assert list(STAGE.across([{"id": "broken", "frame_hashes": None}, {"id": "x", "frame_hashes": ""}])) == []


def test_two_clips_of_one_file_are_told_apart_by_their_frames(tmp_path):
    clip = encoded(tmp_path / "a.mp4", np.concatenate([scene(0, 12), scene(1, 12)]))
    parts = [replace(clip, stop=12, id="a#0-12"), replace(clip, start=12, id="a#12-24")]
    assert list(STAGE.across([{"id": part.id, **STAGE.measure(part)} for part in parts])) == []


def test_the_same_shapes_in_other_colours_are_no_copy(rows, tmp_path):
    dyed = encoded(tmp_path / "z.mp4", scene(0)[..., ::-1])
    row = {"id": dyed.id, **STAGE.measure(dyed)}
    assert distance(parsed_hashes(row["frame_hashes"]), parsed_hashes(rows[0]["frame_hashes"])) is not None
    assert list(STAGE.across([rows[0], dict(rows[0], id="z", mean_colours=row["mean_colours"])])) == []


def test_similar_clips_are_marked_by_the_angle_between_embeddings():
    stage = Similar(CurationSettings(options={"similar.least": "0.9"}))
    vectors = {"d": [0.6, 0.8], "a": [1.0, 0.0], "c": [0.995, 0.1], "b": [0.0, 1.0]}
    rows = [{"id": name, "embedding": vector} for name, vector in vectors.items()] + [{"id": "e", "embedding": None}]
    assert list(stage.across(rows)) == [("c", {"similar_to": "a", "similarity": pytest.approx(0.995)})]
