"""Motion targets of Tora's training: dense flow, key points tracked along it, and what clips are dropped for."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from kinema.core.errors import KinemaError, RequestError
from kinema.features import flow as optical_flow
from kinema.features import motion_filter
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.training.data import key_points

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def constant(step: tuple[float, float], *, frames: int = 9, height: int = 60, width: int = 90) -> np.ndarray:
    return np.broadcast_to(np.array(step, np.float32), (frames - 1, height, width, 2))


def rotation(angle: float, *, frames: int = 9, side: int = 64) -> np.ndarray:
    """Flow of a rotation by `angle` radians a frame about the centre."""
    y_HW, x_HW = np.mgrid[:side, :side] - (side - 1) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    flow_HW2 = np.stack([cos * x_HW - sin * y_HW - x_HW, sin * x_HW + cos * y_HW - y_HW], -1)
    return np.broadcast_to(flow_HW2.astype(np.float32), (frames - 1, side, side, 2))


def square(flow: tuple[float, float], *, frames: int = 9, side: int = 64, pause: int = 0) -> np.ndarray:
    """A square of 16 px that starts at (8, 8) after `pause` frames, on a still ground: its exact flow."""
    found = np.zeros((frames - 1, side, side, 2), np.float32)
    for f in range(pause, frames - 1):
        x, y = (int(8.5 + (f - pause) * each) for each in flow)
        found[f, y : y + 16, x : x + 16] = flow
    return found


# -- key points --------------------------------------------------------------------------------------------------------


def test_a_translation_is_tracked_exactly():
    flow = constant((2.25, -0.5))
    start = np.array([[10, 40], [20.5, 50.25]], np.float32)
    wanted = start[:, None] + np.arange(9)[:, None] * np.array([2.25, -0.5])
    assert np.abs(key_points.track(flow, start) - wanted).max() < 1e-4


def test_a_rotation_keeps_the_distance_from_its_centre():
    flow = rotation(0.1)
    found = key_points.track(flow, np.array([[40.0, 31.5], [31.5, 20.0]]))
    for start, path in zip((0.0, -np.pi / 2), found - 31.5, strict=True):
        turned = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
        assert np.allclose(turned - start, 0.1 * np.arange(9), atol=1e-4), "the flow is linear: reading it is exact"
        assert np.ptp(np.hypot(*path.T)) < 1e-3


def test_a_still_clip_has_no_key_points_and_still_points_stay():
    flow = constant((0, 0))
    assert key_points.choose(flow, np.random.default_rng(0)).shape == (0, 2)
    assert key_points.track(flow, np.array([[3, 4]])).tolist() == [[[3, 4]] * 9]
    assert key_points.track(flow, np.zeros((0, 2))).shape == (0, 9, 2)


def test_points_stop_at_the_border():
    found = key_points.track(constant((20, 0)), np.array([[50.0, 5.0]]))
    assert found[0, :, 0].tolist() == [50, 70, 89, 89, 89, 89, 89, 89, 89] and set(found[0, :, 1]) == {5.0}


def test_key_points_lie_on_what_moves_and_follow_it():
    flow = square((2, 1))
    seen = set()
    for seed in range(40):
        points = key_points.choose(flow, np.random.default_rng(seed))
        seen.add(len(points))
        assert 1 <= len(points) <= 16 and ((points >= 8) & (points < 24)).all()
        assert len(np.unique(points, axis=0)) == len(points)
        path = key_points.track(flow, points)
        assert np.allclose(path[:, -1] - path[:, 0], (16, 8), atol=1e-4)
    assert seen >= {1, 2, 8, 15, 16}, "the number is drawn evenly from 1 to 16"
    assert {len(key_points.choose(flow, np.random.default_rng(seed), most=2)) for seed in range(20)} == {1, 2}
    with pytest.raises(ValueError, match="1 or more"):
        key_points.choose(flow, np.random.default_rng(0), most=0)


def test_points_at_the_edge_of_an_object_stay_on_it():
    """Also where its positions are fractions of a pixel."""
    flow = square((1.5, 0.75))
    edge = np.array([(x, y) for x in (8, 23) for y in range(8, 24)] + [(x, y) for x in range(8, 24) for y in (8, 23)])
    path = key_points.track(flow, edge)
    assert np.allclose(path[:, -1] - path[:, 0], (12, 6), atol=1e-4)
    outside = key_points.track(flow, np.array([[7.0, 8.0], [30.0, 7.0]]))
    assert np.allclose(outside[:, -1], outside[:, 0]), "and those beside it do not start to move"


def test_what_moves_more_is_chosen_more_often():
    flow = np.zeros((4, 64, 64, 2), np.float32)
    flow[:, :, :32, 0], flow[:, :, 32:, 0] = 1.0, 3.0
    points = [key_points.choose(flow, np.random.default_rng(seed), most=1)[0] for seed in range(400)]
    right = np.mean([x >= 32 for x, _ in points])
    assert abs(right - 0.75) < 0.08, right


def test_a_pause_at_the_beginning_is_kept():
    flow = square((2, 0), pause=3)
    path = key_points.track(flow, key_points.choose(flow, np.random.default_rng(1)))
    assert len(path) and np.array_equal(path[:, 0], path[:, 3]) and np.allclose(path[:, -1, 0] - path[:, 0, 0], 10)


def test_key_points_are_deterministic():
    flow = square((2, 1))
    first, again, other = (key_points.choose(flow, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again) and (len(other) != len(first) or not np.array_equal(first, other))


# -- dense flow --------------------------------------------------------------------------------------------------------


def texture(side: int = 160) -> np.ndarray:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (side, side, 3)).astype(np.float32), (0, 0), 2.5)
    return np.clip((noise - noise.mean()) * 4 + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("step", [(3, 2), (-4, 1), (0, 0)])
def test_dis_measures_a_translation(step):
    picture = texture()
    frames = np.stack([np.roll(picture, (f * step[1], f * step[0]), (0, 1))[32:-32, 32:-32] for f in range(4)])
    flow = optical_flow.dis(frames)
    assert flow.shape == (3, 96, 96, 2) and flow.dtype == np.float32
    assert np.abs(flow[:, 12:-12, 12:-12] - step).mean() < 0.1
    assert np.array_equal(flow, optical_flow.estimator("dis")(frames))


def test_dis_on_toyland_is_near_its_exact_flow():
    scenes = [sample_scene(seed, replace(WORLD_MINI, moving_camera=0.0)) for seed in range(12)]
    drawn = render(scenes, num_frames=5, height=64, width=64, truth=True)
    shares = []
    for frames, exact, masks in zip(drawn.frames_BFHWC, drawn.flow_BFHW2, drawn.masks_BNFHW, strict=True):
        inside = masks.any(0)[:-1].numpy()
        true = exact[:-1].numpy()[inside]
        if np.hypot(*true.T).mean() > 0.5:
            off = np.hypot(*(optical_flow.dis(frames.numpy())[inside] - true).T).mean()
            shares.append(off / np.hypot(*true.T).mean())
    assert len(shares) > 6 and np.median(shares) < 0.1, shares


@pytest.mark.parametrize("frames", [np.zeros((1, 8, 8, 3), np.uint8), np.zeros((3, 8, 8, 3)), np.zeros((3, 8, 8))])
def test_what_is_no_clip_has_no_flow(frames):
    with pytest.raises(ValueError, match="frames"):
        optical_flow.dis(frames)


def test_raft_is_refused_without_its_parts(tmp_path, monkeypatch):
    with pytest.raises(RequestError, match="one of dis, raft"):
        optical_flow.estimator("farneback")
    with pytest.raises(RequestError, match="Kinema ships none"):
        optical_flow.estimator("raft")
    with pytest.raises(RequestError, match="no such file"):
        optical_flow.estimator("raft", str(tmp_path / "gone.pth"))
    file = tmp_path / "raft.pth"
    file.write_bytes(b"")
    monkeypatch.setattr(optical_flow.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="requires torchvision"):
        optical_flow.estimator("raft", str(file))
    assert "requires flow=raft" in (optical_flow.why_not("dis", "x.pth") or "")


class StandIn(torch.nn.Module):
    """torchvision's interface with the mean difference of two frames as flow, so that sizes and scales are tested
    without the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, now, after):
        assert now.shape == after.shape and now.shape[-2] % 8 == now.shape[-1] % 8 == 0 and min(now.shape[-2:]) >= 128
        assert now.min() >= -1 and now.max() <= 1
        moved = (after - now).mean((1, 2, 3))[:, None, None, None]
        return [torch.zeros(1), (self.scale * moved).expand(-1, 2, *now.shape[-2:])]


def test_raft_takes_a_persons_own_weights(tmp_path, monkeypatch):
    fake = ModuleType("torchvision.models.optical_flow")
    fake.raft_large = lambda weights, progress: StandIn()
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", fake)
    monkeypatch.setattr(optical_flow.importlib.util, "find_spec", lambda name: True)
    file, wrong = tmp_path / "raft.pth", tmp_path / "wrong.pth"
    torch.save({"scale": torch.full((1,), 10.0)}, file)
    torch.save({"other": torch.ones(1)}, wrong)
    frames = np.stack([np.full((40, 100, 3), tone, np.uint8) for tone in (0, 51)])
    flow = optical_flow.estimator("raft", str(file))(frames)
    assert flow.shape == (1, 40, 100, 2)
    assert np.allclose(flow[..., 0], 4.0 * 100 / 128, atol=1e-3) and np.allclose(
        flow[..., 1], 4.0 * 40 / 128, atol=1e-3
    )
    with pytest.raises(KinemaError, match="not the weights"):
        optical_flow.estimator("raft", str(wrong))


# -- curation ----------------------------------------------------------------------------------------------------------


def measured(flow: np.ndarray) -> motion_filter.ClipMotion:
    return motion_filter.measure(flow, 8.0)


def test_camera_motions_are_dropped_and_object_motions_kept():
    assert "the camera moves, by 28 %" in measured(constant((2.1, 0))).why_dropped()
    assert "100 % of all motion" in measured(rotation(0.03)).why_dropped()
    zoom = np.broadcast_to(0.02 * (np.mgrid[:64, :64].transpose(1, 2, 0)[..., ::-1] - 31.5), (8, 64, 64, 2))
    assert "the camera moves" in measured(zoom).why_dropped()
    assert measured(constant((2.1, 0))).why_dropped(camera=False) == ""
    one = measured(square((2, 1)))
    assert one.why_dropped() == "" and one.camera_margin < 0.1 and one.explained > 0.9, "an object fits a map as well"
    both = constant((2, 0), height=64, width=64).copy()
    both[:, 24:40, 24:40] = (-1, -3)
    assert "the camera moves" in measured(both).why_dropped(), "also with an object in front"
    assert "hardly moves: flow score 0.00" in measured(constant((0, 0))).why_dropped()


def test_scores_do_not_depend_on_the_size_and_weigh_clips():
    small, large = measured(constant((1, 0), height=60)), measured(constant((8, 0), height=480, width=720))
    assert small.score == pytest.approx(8.0) and large.score == pytest.approx(8.0)
    assert small.weight == pytest.approx(0.92) and small.camera_speed == pytest.approx(large.camera_speed)
    fast = measured(constant((15, 0)))
    assert fast.weight == 0 and "moves too fast: flow score 120.0" in fast.why_dropped(camera=False)
    assert "at least 9 is needed" in small.why_dropped(camera=False, least=9)
    with pytest.raises(ValueError, match="expected a flow"):
        measured(np.zeros((0, 4, 4, 2)))


@pytest.mark.parametrize(("exact", "kept_still", "kept_moving"), [(True, 0.99, 0.2), (False, 0.7, 0.35)])
def test_on_toyland_pans_go_and_still_cameras_stay(exact, kept_still, kept_moving):
    """Shares of clips kept, of 24 with a still camera and 24 with a moving one. Skies do not move with Toyland's
    camera, which makes this harder than most clips."""
    shares = []
    for share in (0.0, 1.0):
        world = replace(WORLD_MINI, moving_camera=share, motions=("left", "right", "circle", "diagonal"))
        scenes = [sample_scene(seed, world) for seed in range(24)]
        drawn = render(scenes, num_frames=9, height=64, width=64, truth=True)
        flows = [
            flow[:-1].numpy() if exact else optical_flow.dis(frames.numpy())
            for flow, frames in zip(drawn.flow_BFHW2, drawn.frames_BFHWC, strict=True)
        ]
        shares.append(np.mean([not measured(flow).camera_moves for flow in flows]))
    assert shares[0] >= kept_still and shares[1] <= kept_moving, shares


@pytest.mark.skipif(not DATA.is_dir(), reason="requires the clips of ../shared/data")
@pytest.mark.parametrize(
    ("name", "why"), [("realshort", "the camera moves"), ("road", "the camera moves"), ("cat", "hardly")]
)
def test_real_clips(name, why):
    from kinema.media.read import read_video

    frames = read_video(DATA / f"{name}.mp4")[0][::3][:9]
    height = 180
    width = round(height * frames.shape[2] / frames.shape[1])
    small = np.stack([cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in frames])
    assert why in measured(optical_flow.dis(small)).why_dropped()
