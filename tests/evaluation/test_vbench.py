"""VBench's dimensions against plain loops over their definitions, its scales against the published constants."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from kinema.core.errors import MediaError, RequestError, WeightsMissing
from kinema.evaluation.yardsticks import normalise, vbench_camera, vbench_motion, vbench_quality
from kinema.evaluation.yardsticks.contract import ClipFile, SetClip, YardstickSettings
from kinema.evaluation.yardsticks.vbench import VBenchQuality
from kinema.evaluation.yardsticks.vbench_camera import AskedCameraMotion, camera_class, lucas_kanade
from kinema.evaluation.yardsticks.vbench_consistency import Consistency, consistency
from kinema.evaluation.yardsticks.vbench_motion import DynamicDegree, MotionSmoothness, TemporalFlickering
from kinema.toyland.render import render
from kinema.toyland.scene import Actor, Scene

PLAIN = YardstickSettings()


def clip(frames: np.ndarray, caption: str | None = None, fps: float = 8.0, manifest: dict | None = None) -> SetClip:
    return SetClip(ClipFile("one", Path("one.mp4"), caption, manifest), frames, fps)


def noise(count: int, side: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_consistency_by_a_loop():
    vectors = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    total = 0.0
    for f in range(1, 6):
        before, first = float(vectors[f] @ vectors[f - 1]), float(vectors[f] @ vectors[0])
        total += (max(0.0, before) + max(0.0, first)) / 2
    assert consistency(vectors) == pytest.approx(total / 5, abs=1e-6)
    assert (vectors[1:] @ vectors[0]).min() < 0  # the cut-off at 0 matters here
    assert consistency(np.repeat(vectors[:1], 3, 0)) == pytest.approx(1, abs=1e-6)


def test_consistency_names_an_encoder_that_is_not_the_published_one(monkeypatch):
    encoder = SimpleNamespace(
        name="x", digest="d" * 64, pictures=lambda frames: np.eye(4, dtype=np.float32)[: len(frames)]
    )
    monkeypatch.setattr("kinema.evaluation.yardsticks.picture_features.picture_encoder_of", lambda *a: encoder)
    dimension = Consistency("subject_consistency", "", "x", "dino:facebook/dino-vitb16", "cpu")
    assert dimension.protocol()["published_backbone"] == "dino:facebook/dino-vitb16"
    assert dimension.score([dimension.measure(clip(noise(3)))], []).value == 0.0
    with pytest.raises(MediaError, match="single frame"):
        dimension.measure(clip(noise(1)))


def test_flicker_by_a_loop():
    frames = noise(5)
    off = [np.abs(frames[f].astype(int) - frames[f + 1].astype(int)).mean() for f in range(4)]
    row = TemporalFlickering(PLAIN).measure(clip(frames))
    assert float(row["value"]) == pytest.approx((255 - np.mean(off)) / 255)
    black_white = np.stack([np.zeros((8, 8, 3)), np.full((8, 8, 3), 255)] * 2).astype(np.uint8)
    assert vbench_motion.steadiness(black_white) == 0.0 and vbench_motion.steadiness(black_white[::2]) == 1.0


@pytest.mark.parametrize("count", [5, 6])
def test_smoothness_compares_the_dropped_frames_only(count):
    frames = noise(count)
    seen = []

    def between(a, b):
        seen.append((a.sum(), b.sum()))
        return ((a.astype(int) + b) // 2).astype(np.uint8)

    off = [np.abs(between(frames[f - 1], frames[f + 1]).astype(int) - frames[f]).mean() for f in (1, 3)]
    seen.clear()
    smooth = MotionSmoothness(PLAIN, between, "mean")
    row = smooth.measure(clip(frames))
    assert float(row["value"]) == pytest.approx((255 - np.mean(off)) / 255) and len(seen) == 2
    assert smooth.protocol()["interpolation"] == "mean"
    with pytest.raises(MediaError, match="needs 3"):
        smooth.measure(clip(frames[:2]))


def moving(px: float, count: int = 16, side: int = 64) -> np.ndarray:
    """A textured picture that moves right by `px` per frame."""
    texture = cv2.GaussianBlur(noise(1, 256)[0], (0, 0), 2.5)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    shifts = [np.float32([[1, 0, px * f - 100], [0, 1, -90]]) for f in range(count)]
    return np.stack([cv2.warpAffine(texture, shift, (side, side)) for shift in shifts])


def test_film_makes_a_smooth_motion_smoother_than_a_shuffled_one():
    frames = moving(1.0, 5, 48)
    smooth = MotionSmoothness(PLAIN)
    values = [float(smooth.measure(clip(each))["value"]) for each in (frames, frames[[0, 3, 2, 1, 4]])]
    assert values[0] > 0.98 and values[0] > values[1] + 0.03
    assert len(smooth.protocol()["weights"]) == 64


def test_dynamic_degree_by_a_loop_over_known_flow():
    lengths = np.random.default_rng(0).uniform(0, 6, (15, 24, 24))
    at = iter(range(15))
    flow = lambda pair: np.stack([lengths[next(at)], np.zeros((24, 24))], -1)[None]  # noqa: E731
    dimension = DynamicDegree(PLAIN, flow, "known")
    row = dimension.measure(clip(noise(16)))
    largest = [np.sort(one.ravel())[::-1][: int(24 * 24 * 0.05)].mean() for one in lengths]
    assert row["largest"] == pytest.approx(largest)
    moving_steps = sum(value > 6 * 24 / 256 for value in largest)
    assert float(row["value"]) == float(moving_steps >= round(4 * 16 / 16)) == 1.0
    assert vbench_motion.moves(np.array([9.0] * 3 + [0] * 12), 256, 256) is False  # 3 of the 4 steps of 16 frames
    assert vbench_motion.moves(np.array([9.0] * 4 + [0] * 11), 256, 256) is True
    assert vbench_motion.moves(np.array([5.9] * 15), 256, 256) is False  # 6 px of 256


def test_dynamic_degree_of_pictures_that_move():
    """6 px of 256 at 8 frames a second are 1.5 px of 64; at 16 fps every other frame is read."""
    dimension = DynamicDegree(PLAIN)
    found = {
        (px, fps): dimension.measure(clip(moving(px), fps=fps)) for px, fps in [(0, 8), (1.0, 8), (2.0, 8), (1.0, 16)]
    }
    assert {key: float(row["value"]) for key, row in found.items()} == {
        (0, 8): 0.0, (1.0, 8): 0.0, (2.0, 8): 1.0, (1.0, 16): 1.0,
    }  # fmt: skip
    assert np.median(found[2.0, 8]["largest"]) == pytest.approx(2.0, rel=0.15)
    score = dimension.score(list(found.values()), [])
    assert score.value == 0.5 and score.facts["largest_motion_px"] > 0


@pytest.mark.parametrize("camera", ["static", "pan-left", "pan-right", "tilt-up", "tilt-down", "zoom-in", "zoom-out"])
def test_camera_motion_of_toyland(camera):
    """The tracker and the fit, on cameras that are known exactly."""
    move = "still" if camera == "static" else camera
    scene = Scene((Actor("ball", "red"),), camera=move, camera_amount=0.3, background="city", decor=3)
    frames = render([scene], num_frames=5, height=96, width=96, fps=2.0).frames_BFHWC[0].numpy()
    assert camera_class(frames, lucas_kanade) == camera


def test_camera_motion_by_known_tracks():
    at = np.array([(x, y) for x in (-45.0, -15, 15, 45) for y in (-45.0, 45)])
    of = lambda motion: vbench_camera.of_motion(at, motion + np.zeros((8, 2)), 100)  # noqa: E731
    assert of((0, 0)) == of((0.4, -0.2)) == "static"  # 0.005 of 100 px
    assert of((2.0, 0.6)) == "pan-left" and of((-0.6, -2.0)) == "tilt-down"
    assert of(0.1 * at) == "zoom-in" and of(-0.1 * at) == "zoom-out" and of(0.1 * at[:, ::-1] * (-1, 1)) == "other"
    one_wrong = np.tile((-3.0, 0.0), (8, 1))
    one_wrong[0] = (40, 40)
    assert of(one_wrong) == "pan-right"
    assert vbench_camera.of_motion(at[:7], np.ones((7, 2)), 100) == "other"  # too few points


def test_camera_motion_scores_what_was_asked_for():
    frames = moving(-2.0, 6)  # the picture moves left: the camera pans right
    dimension = AskedCameraMotion(PLAIN)
    asked = [
        clip(frames, manifest={"plan": {"conditions": [{"kind": "camera", "move": "pan-right"}]}}),
        clip(frames, "a red ball rolls left, the camera pans left"), clip(frames, "a red ball"), clip(frames),
    ]  # fmt: skip
    assert [vbench_camera.asked_of(each.file) for each in asked] == ["pan-right", "pan-left", None, None]
    score = dimension.score([dimension.measure(each) for each in asked], [])
    assert score.value == 0.5 and score.per_clip[:2] == (1.0, 0.0) and np.isnan(score.per_clip[2:]).all()
    assert score.facts["found"] == {"pan-right": 4}
    with pytest.raises(RequestError, match="asked for a camera move"):
        dimension.check([asked[2].file], [])


def test_scales_and_weights():
    """Constants of the leaderboard; all at the top of their range give 1, all at the bottom 0."""
    every = (*normalise.QUALITY, *normalise.SEMANTIC)
    low = {name: normalise.RANGES.get(name, (0, 1))[0] for name in every}
    high = {name: normalise.RANGES.get(name, (0, 1))[1] for name in every}
    assert normalise.totals(low) == normalise.VBenchTotals(0, 0, 0, 0, ())
    top = normalise.totals(high)
    assert (top.quality, top.semantic, top.total) == pytest.approx((1, 1, 1))
    assert normalise.normalised("motion_smoothness", 0.9) == pytest.approx((0.9 - 0.706) / (0.9975 - 0.706))
    # dynamic degree weighs half: quality loses 0.5 of 6.5, the total 4 / 5 of that
    less = normalise.totals(high | {"dynamic_degree": 0.0})
    assert less.quality == pytest.approx(6 / 6.5) and less.total == pytest.approx(1 - 0.8 * 0.5 / 6.5)
    with pytest.raises(KeyError):
        normalise.normalised("clipsim", 0.3)


def test_no_total_without_all_parts():
    part = normalise.totals({"motion_smoothness": 0.9975, "dynamic_degree": 0.0, "aesthetic_quality": None})
    assert part.quality is part.semantic is part.total is None
    assert part.partial_quality == pytest.approx(1 / 1.5) and "aesthetic_quality" in part.missing
    assert "motion_smoothness" not in part.missing and len(part.missing) == 14


def given(value: float, name: str):
    return SimpleNamespace(
        name=name, check=lambda clips, against: None, protocol=lambda: {"given": value},
        measure=lambda clip: {"value": np.array(value * clip.frames_FHWC.mean() / 255)},
    )  # fmt: skip


def test_quality_score_of_all_dimensions_and_of_some(monkeypatch):
    monkeypatch.setenv("VBENCH_CACHE_DIR", "/nowhere")
    white = clip(np.full((3, 8, 8, 3), 255, np.uint8))
    whole = VBenchQuality(PLAIN, {name: given(0.9, name) for name in normalise.QUALITY})
    gray = clip(white.frames_FHWC // 2)
    score = whole.score([whole.measure(white), whole.measure(gray)], [])
    mean = 0.9 * (1 + 127 / 255) / 2
    assert score.value == pytest.approx(normalise.totals(dict.fromkeys(normalise.QUALITY, mean)).quality)
    assert len(score.per_clip) == 2 and score.low < score.value < score.high
    assert score.facts["not_computed"] == list(normalise.SEMANTIC)

    parts = {name: given(0.9, name) for name in normalise.QUALITY[:-1]}
    lacking = VBenchQuality(PLAIN, parts | {"imaging_quality": vbench_quality.ImagingQuality(PLAIN)})
    score = lacking.score([lacking.measure(white)], [])
    assert score.value is None and "imaging_quality" in score.facts["why"]
    assert score.facts["partial_of"] == list(normalise.QUALITY[:-1]) and 0 < score.facts["partial_quality"] < 1
    assert lacking.protocol()["not_computed"] == ["imaging_quality"]


def test_aesthetic_quality_is_the_linear_layer_on_unit_vectors(tmp_path, monkeypatch):
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path))
    vectors = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    encoder = SimpleNamespace(name="clip", digest="e" * 64, pictures=lambda frames: vectors)
    monkeypatch.setattr("kinema.evaluation.yardsticks.picture_features.text_and_pictures_of", lambda *a: encoder)
    dimension = vbench_quality.AestheticQuality(PLAIN)
    with pytest.raises(WeightsMissing, match="VBENCH_CACHE_DIR"):
        dimension.check([], [])
    layer = torch.nn.Linear(8, 1)
    place = tmp_path / "aesthetic_model" / "emb_reader"
    place.mkdir(parents=True)
    torch.save(layer.state_dict(), place / vbench_quality.AESTHETIC_HEAD)
    vbench_quality._head.cache_clear()
    wanted = layer(torch.from_numpy(vectors)).mean().item() / 10
    assert float(dimension.measure(clip(noise(3, seed=5)))["value"]) == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(WeightsMissing, match="pyiqa"):
        vbench_quality.ImagingQuality(PLAIN).check([], [])
