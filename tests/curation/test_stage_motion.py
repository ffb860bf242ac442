"""Stages that measure motion, against Toyland's exact flow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from made_clips import encoded
from scipy.stats import spearmanr

from kinema.core.errors import RequestError
from kinema.curation import reading
from kinema.curation.stage import CurationSettings
from kinema.curation.stages.camera import CameraMotion, shake
from kinema.curation.stages.motion_vectors import VectorMotion, frame_motions, limited_mean
from kinema.curation.table_of_stages import make_stages

DEFAULT = CurationSettings()


@pytest.fixture(scope="module")
def heap(tmp_path_factory):
    """(clips, true mean flow in shorter sides a second): patches of several sizes that cross a picture at several
    speeds. The same on Toyland: benchmarks/curation_stages.py."""
    folder = tmp_path_factory.mktemp("heap")
    cases = [(size, speed) for size in (32, 48, 64) for speed in (0, 1, 2, 3)]
    clips = [encoded(folder / f"{size}-{speed}.mp4", crossed(9, size, speed)) for size, speed in cases]
    return clips, [speed * (size / 96) ** 2 / 96 * 8 for size, speed in cases]


def rough(height: int, width: int, seed: int) -> np.ndarray:
    """Soft noise of blots of about 10 px."""
    cells = np.random.default_rng(seed).integers(0, 255, (-(-height // 10), -(-width // 10), 3), np.uint8)
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)


def crossed(num: int, size: int, speed: int) -> np.ndarray:
    """A rough patch that moves to the right over a rough still picture."""
    frames = np.repeat(rough(96, 96, 1)[None], num, 0)
    for number in range(num):
        left = 4 + number * speed
        seen = frames[number, 16 : 16 + size, left : left + size]
        seen[:] = rough(size, size, 2)[:, : seen.shape[1]]
    return frames


@pytest.mark.parametrize(("stage", "column"), [("motion_vectors", "vector_motion"), ("motion", "motion")])
def test_clips_are_ranked_by_their_true_flow(heap, stage, column):
    clips, true = heap
    (measure,) = make_stages([stage], DEFAULT)
    measure.open()
    found = [measure.measure(clip)[column] for clip in clips]
    assert spearmanr(true, found).statistic >= 0.95
    assert max(one for one, speed in zip(found, true, strict=True) if not speed) < 0.002


def panned(num: int, step: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Noise with structure that moves to the left by `step` px a frame."""
    wide = rough(height, width + num * step, 3)
    return np.stack([wide[:, k * step : k * step + width] for k in range(num)])


@pytest.mark.parametrize("bframes", ["0", "3"])
def test_vectors_give_the_speed_of_a_pan_whatever_the_frames_refer_to(tmp_path, bframes):
    clip = encoded(tmp_path / "pan.mp4", panned(12, 4), fps=8, bf=bframes, crf="12")
    found = VectorMotion(DEFAULT).measure(clip)
    assert found["vector_motion_from"] == "vectors"
    assert found["vector_motion"] == pytest.approx(4 / 96 * 8, rel=0.1)
    reading.forget()
    later = VectorMotion(DEFAULT).measure(replace(clip, start=5))  # its first frame refers to one before the clip
    assert later["vector_motion"] == pytest.approx(4 / 96 * 8, rel=0.15)


def test_b_frames_count_where_there_are_no_p_frames(tmp_path):
    clip = encoded(tmp_path / "pan.mp4", panned(12, 4), fps=8, bf="3", crf="12", **{"b-pyramid": "none"})
    frames = list(clip.packets())
    assert {frame.kind for frame in frames} >= {"P", "B"}
    for kind in ("P", "B"):
        lengths, spans = np.array(frame_motions(frames, kind)).T
        assert np.mean(lengths) == pytest.approx(4, rel=0.15) and max(spans) == (1 if kind == "B" else 4)


@pytest.mark.parametrize(("codec", "options"), [("mjpeg", {}), ("libx264", {"g": "1"})])
def test_files_of_whole_pictures_fall_back_to_flow(tmp_path, codec, options):
    clip = encoded(tmp_path / "pan.mov", panned(9, 4), codec=codec, **options)
    found = VectorMotion(DEFAULT).measure(clip)
    assert found["vector_motion_from"] == "flow"
    assert found["vector_motion"] == pytest.approx(4 / 96 * 8, rel=0.2)


def test_a_single_frame_has_no_motion_and_a_short_clip_has(tmp_path):
    clip = encoded(tmp_path / "pan.mp4", panned(12, 4), fps=8)
    (stage,) = make_stages(["motion"], DEFAULT)
    stage.open()
    assert stage.measure(replace(clip, stop=1))["motion"] is None
    assert CameraMotion(DEFAULT).measure(replace(clip, stop=1))["camera_moves"] is None
    short = stage.measure(replace(clip, stop=3))["motion"]  # a quarter of a second: no two frames at 2 fps
    assert short == pytest.approx(4 / 96 * 8, rel=0.2)


def test_long_wrong_vectors_are_limited():
    lengths, areas = np.array([1.0] * 97 + [500.0] * 3), np.ones(100)
    assert limited_mean(lengths, areas) == pytest.approx(1.0)
    assert limited_mean(np.array([2.0, 4.0]), np.array([300.0, 100.0])) == pytest.approx(2.5, abs=0.2)


def test_a_pan_moves_the_camera_and_a_shaking_one_shakes(tmp_path):
    steady = encoded(tmp_path / "steady.mp4", panned(16, 3), fps=8)
    base, places = panned(1, 0, 128, 160)[0], np.random.default_rng(0).integers(0, 20, (16, 2))
    shaken = encoded(tmp_path / "shaken.mp4", np.stack([base[y : y + 96, x : x + 128] for y, x in places]), fps=8)
    stage = CameraMotion(DEFAULT)
    one, other = stage.measure(steady), stage.measure(shaken)
    assert (one["camera_moves"], other["camera_moves"]) == (1, 1)
    assert one["shake"] < 0.05 < 0.3 < other["shake"]
    assert shake(np.ones((1, 4, 4, 2))) == 0


def test_recipes_without_their_weights_are_refused():
    (raft,) = make_stages(["motion_raft"], DEFAULT)
    with pytest.raises(RequestError, match=r"motion_raft\.weights=FILE"):
        raft.open()
    (aesthetic,) = make_stages(["aesthetic"], DEFAULT)
    with pytest.raises(RequestError, match=r"aesthetic\.head=FILE"):
        aesthetic.open()
