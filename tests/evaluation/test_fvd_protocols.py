"""Protocols of the Frechet video distance: frames, resize and crop against torch written out here; the yardsticks."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from kinema.core.errors import MediaError, RequestError
from kinema.evaluation.yardsticks import clip_features, fvd_protocols, reference_statistics
from kinema.evaluation.yardsticks.contract import MOST_FRAMES, ClipFile, SetClip, YardstickSettings
from kinema.evaluation.yardsticks.fvd import FrechetVideoDistance
from kinema.evaluation.yardsticks.fvd_protocols import BY_NAME, PROTOCOLS, fvd_protocol
from kinema.evaluation.yardsticks.kernel_distance import KernelDistance


def frames(num: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, height, width, 3), dtype=np.uint8)


def as_torch(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(0, 3, 1, 2).float()


def as_frames(x: torch.Tensor) -> np.ndarray:
    return x.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("size", [(90, 161), (161, 90), (300, 300), (224, 224), (224, 300)])
def test_common_metrics_scales_the_shorter_side_and_takes_the_middle(size):
    given = frames(2, *size)
    x = as_torch(given) / 255
    scale = 224 / min(size)
    target = [math.ceil(each * scale) if each != min(size) else 224 for each in size]
    x = interpolate(x, size=target, mode="bilinear", align_corners=False)
    top, left = (target[0] - 224) // 2, (target[1] - 224) // 2
    expected = (x * 2 - 1)[:, :, top : top + 224, left : left + 224]
    found = BY_NAME["common_metrics"].prepare(given, 224)
    assert found.shape == (2, 224, 224, 3) and found.dtype == np.float32
    assert np.abs(found / 127.5 - 1 - as_frames(expected)).max() < 2e-6


@pytest.mark.parametrize("size", [(90, 161), (300, 260)])
def test_cd_fvd_resizes_twice_with_whole_numbers_between(size):
    given = frames(2, *size)
    scale = 256 / min(size)
    target = [math.ceil(each * scale) if each != min(size) else 256 for each in size]
    x = interpolate(as_torch(given) / 255.0, size=target, mode="bilinear", align_corners=False, antialias=True)
    top, left = (target[0] - 256) // 2, (target[1] - 256) // 2
    whole = (x[:, :, top : top + 256, left : left + 256] * 255).byte()
    expected = 2.0 * interpolate(whole.float(), size=(224, 224), mode="bilinear", align_corners=False) / 255.0 - 1
    found = BY_NAME["cd-fvd"].prepare(given, 224)
    assert np.abs(found / 127.5 - 1 - as_frames(expected)).max() < 2e-6


def test_svd_crops_the_middle_of_432x240_and_leaves_ucf_alone():
    given = frames(2, 144, 256)
    x = interpolate(as_torch(given), size=(240, 432), mode="bilinear", align_corners=False, antialias=True)
    found = BY_NAME["svd"].prepare(given, 224)
    assert found.shape == (2, 240, 320, 3) and found.dtype == np.uint8
    assert np.abs(found - as_frames(x)[:, :, 56:376]).max() <= 0.5001
    of_ucf = frames(2, 240, 320)
    assert BY_NAME["svd"].prepare(of_ucf, 224) is of_ucf


@pytest.mark.parametrize("name", ["fvd2048_16f", "fvd2048_128f", "fvd2048_128f_subsample8f", "tora-64"])
def test_stylegan_v_and_tora_leave_the_resize_to_the_network(name):
    given = frames(2, 30, 40)
    assert BY_NAME[name].prepare(given, 224) is given


@pytest.mark.parametrize(("name", "num", "step", "needed"), [
    ("fvd2048_16f", 16, 1, 16), ("fvd2048_128f", 128, 1, 128), ("fvd2048_128f_subsample8f", 16, 8, 128),
    ("cd-fvd", 16, 1, 16), ("svd", 16, 1, 16), ("tora-16", 16, 1, 16), ("tora-64", 64, 1, 64),
    ("tora-128", 128, 1, 128),
])  # fmt: skip
def test_frames_are_consecutive_from_a_place_that_the_name_decides(name, num, step, needed):
    protocol = BY_NAME[name]
    given = np.arange(200)[:, None, None, None] * np.ones((1, 1, 1, 3), int)
    starts = set()
    for clip in "abcdefgh":
        found = protocol.chosen(given, clip)[:, 0, 0, 0]
        assert len(found) == num and (np.diff(found) == step).all()
        assert (protocol.chosen(given, clip)[:, 0, 0, 0] == found).all()
        assert found[0] <= 200 - needed
        starts.add(found[0])
    assert len(starts) > 4
    assert protocol.chosen(given[:needed], "a")[0, 0, 0, 0] == 0
    with pytest.raises(MediaError, match=f"{needed - 1} frames; the protocol {name} needs {needed}"):
        protocol.chosen(given[: needed - 1], "a")


def test_common_metrics_takes_all_frames():
    given = frames(31, 2, 2)
    assert BY_NAME["common_metrics"].chosen(given, "a") is given


def test_the_covariance_of_each_protocol():
    """numpy.cov in common_metrics; E[xx] - mm in StyleGAN-V and cd-fvd."""
    assert [each.name for each in PROTOCOLS if each.covariance == "sample"] == ["common_metrics"]


def test_every_protocol_fits_what_is_read_and_says_what_is_unknown():
    for protocol in PROTOCOLS:
        assert protocol.needed <= MOST_FRAMES
        assert set(protocol.facts()) >= {"protocol", "frames", "step", "resize", "covariance", "unknown"}
        if protocol.name.startswith("tora") or protocol.name == "svd":
            assert protocol.unknown
    assert fvd_protocol("stylegan-v") is fvd_protocol(None) is BY_NAME["fvd2048_16f"]
    with pytest.raises(RequestError, match="cd-fvd") as info:
        fvd_protocol("cdfvd")
    assert info.value.nearest == "cd-fvd"


class Stand:
    """An encoder that is plain: the mean colour and the mean change between frames, at four places."""

    digest, size_px, least_frames, num_frames, resize = "0" * 64, 32, 8, None, "none"

    def __init__(self, name: str = "stand") -> None:
        self.name, self.calls = name, 0

    def __call__(self, frames_BFHWC: np.ndarray) -> np.ndarray:
        self.calls += 1
        x = frames_BFHWC.astype(np.float64)
        parts = x[:, :, ::16, ::16].mean(1), np.abs(np.diff(x, axis=1))[:, :, ::16, ::16].mean(1)
        return np.concatenate([part.reshape(len(x), -1) for part in parts], 1) / 255


@pytest.fixture
def stand(monkeypatch):
    made = Stand()
    monkeypatch.setattr(clip_features, "_encoder", lambda name, device: made)
    clip_features._LAST.clear()
    return made


def clips(num: int, seed: int, brighter: int = 0, length: int = 16) -> list[SetClip]:
    generator = np.random.default_rng(seed)
    found = []
    for number in range(num):
        base = generator.integers(0, 200, (1, 32, 32, 3)) + generator.integers(-20, 20, (length, 32, 32, 3)) + brighter
        file = ClipFile(f"clip{number:03}", Path(f"clip{number:03}.mp4"))
        found.append(SetClip(file, np.clip(base, 0, 255).astype(np.uint8), 8.0))
    return found


@pytest.mark.parametrize("kind", [FrechetVideoDistance, KernelDistance])
def test_a_yardstick_of_sets_sees_a_change_and_its_size(kind, stand):
    yardstick = kind(YardstickSettings())
    sets = {shift: [yardstick.measure(clip) for clip in clips(12, 0, shift)] for shift in (0, 60, 120)}
    reference = [yardstick.measure(clip) for clip in clips(12, 1)]
    found = {shift: yardstick.score(rows, reference) for shift, rows in sets.items()}
    assert found[0].value < found[60].value < found[120].value
    assert all(score.low <= score.value <= score.high for score in found.values())
    assert found[120].low > found[0].high
    assert found[0].facts["clips"] == 12 and found[0].facts["clips_in_source"] == 2048
    assert found[0].facts["unknown"]
    again = yardstick.score(sets[60], reference)
    assert again == found[60], "the seed is fixed"
    difference = yardstick.difference(sets[120], sets[0], reference, paired=True)
    assert difference.is_real and difference.low > 0
    assert difference.value == pytest.approx(found[120].value - found[0].value)
    assert not yardstick.difference(sets[0], sets[0][::-1], reference, paired=False).is_real


def test_a_set_against_itself(stand):
    distance, kernel = FrechetVideoDistance(YardstickSettings()), KernelDistance(YardstickSettings())
    rows = [distance.measure(clip) for clip in clips(12, 0)]
    score = distance.score(rows, rows[::-1])
    assert score.value == 0.0 == score.low
    assert "rank_deficient" in score.facts and "limit_of_many_clips" not in score.facts
    assert kernel.score(rows, rows).facts["biased"] == 0.0


def test_the_limit_of_many_clips_is_said_where_it_holds(stand):
    """Of two samples whose true distance is 4 x 0.5^2 = 1; not of as few clips as features."""
    yardstick, generator = FrechetVideoDistance(YardstickSettings()), np.random.default_rng(0)
    x, y = generator.normal(0, 1, (2, 300, 4)) + np.array([0.5, 0])[:, None, None]
    rows, reference = ([{"features": each} for each in side] for side in (x, y))
    facts = yardstick.score(rows, reference).facts
    assert facts["limit_of_many_clips"] == pytest.approx(1.0, abs=0.3)
    assert "rank_deficient" not in facts
    few = yardstick.score(rows[:14], reference[:14]).facts
    assert "by_number_of_clips" not in few and "limit_of_many_clips" not in few


def test_two_yardsticks_encode_a_clip_once(stand):
    distance, kernel = FrechetVideoDistance(YardstickSettings()), KernelDistance(YardstickSettings())
    for clip in clips(3, 0):
        one, two = distance.measure(clip), kernel.measure(clip)
        assert (one["features"] == two["features"]).all()
    assert stand.calls == 3
    stand.digest = "1" * 64
    distance.measure(clips(3, 0)[2])
    assert stand.calls == 4, "other weights, other features"


def test_saved_statistics_stand_for_their_set(stand, tmp_path):
    yardstick = FrechetVideoDistance(YardstickSettings())
    rows, reference = ([yardstick.measure(clip) for clip in clips(18, seed)] for seed in (0, 1))
    file = tmp_path / "reference.npz"
    reference_statistics.save(file, yardstick.statistics(reference), yardstick.protocol())
    whole = yardstick.score(rows, reference)
    score = yardstick.score(rows, [reference_statistics.load(file, yardstick.protocol())])
    assert score.value == pytest.approx(whole.value, rel=1e-12)
    assert score.high - score.low < whole.high - whole.low, "the reference is not drawn"
    assert score.facts["by_number_of_clips"].keys() == whole.facts["by_number_of_clips"].keys()
    other = FrechetVideoDistance(YardstickSettings(protocol="common_metrics"))
    with pytest.raises(RequestError, match="frames"):
        reference_statistics.load(file, other.protocol())


def test_what_cannot_be_measured_is_said(stand):
    yardstick = FrechetVideoDistance(YardstickSettings(protocol="tora-64"))
    files = [clip.file for clip in clips(3, 0)]
    yardstick.check(files, files)
    with pytest.raises(RequestError, match=r"needs 2 clips in each; against has 1") as info:
        yardstick.check(files, files[:1])
    assert info.value.field == "against"
    with pytest.raises(MediaError, match="16 frames; the protocol tora-64 needs 64"):
        yardstick.measure(clips(1, 0)[0])
    assert yardstick.score([], []).value is None
    stand.least_frames = 65
    with pytest.raises(RequestError, match="has 64 frames; mini-i3d needs 65"):
        yardstick.check(files, files)
    whole = FrechetVideoDistance(YardstickSettings(protocol="common_metrics"))
    with pytest.raises(MediaError, match="16 frames; mini-i3d needs 65"):
        whole.measure(clips(1, 0)[0])


def test_other_rates_and_exact_numbers_of_frames(stand):
    yardstick = FrechetVideoDistance(YardstickSettings(protocol="svd"))
    rows = [yardstick.measure(clip) for clip in clips(4, 0)]
    assert yardstick.score(rows, rows).facts["fps"] == [8.0], "the source has 25"
    stand.num_frames, seen = 8, []
    stand.__class__ = type("Seeing", (Stand,), {"__call__": lambda self, x: seen.append(x.shape) or np.ones((1, 3))})
    long = dataclasses.replace(clips(1, 0, length=40)[0])
    FrechetVideoDistance(YardstickSettings(protocol="common_metrics")).measure(long)
    assert seen == [(1, 8, 32, 32, 3)]


def test_the_protocol_names_all_that_changes_the_number(stand):
    facts = FrechetVideoDistance(YardstickSettings(protocol="cd-fvd")).protocol()
    assert facts["weights"] == stand.digest and facts["size_px"] == 32 and facts["frames_read"] == MOST_FRAMES
    assert facts["covariance"] == "population" and "antialiased" in facts["resize"]
    assert facts["frames"] == 16 and fvd_protocols.DEFAULT == "fvd2048_16f"
