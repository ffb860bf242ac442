"""PSNR, SSIM and LPIPS of pairs against scikit-image and plain formulas."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from kinema.core.errors import MediaError, ModelError, WeightsMissing
from kinema.evaluation.yardsticks import pairs
from kinema.evaluation.yardsticks.contract import ClipFile, SetClip, YardstickSettings
from kinema.features import lpips
from kinema.features.lpips import Lpips


def pair(num: int, height: int, width: int, noise: int = 30) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    smooth = np.cumsum(generator.integers(-3, 4, (num, height, width, 3)), 2) + 120
    a = np.clip(smooth, 0, 255).astype(np.uint8)
    return a, np.clip(smooth + generator.integers(-noise, noise, smooth.shape), 0, 255).astype(np.uint8)


def clip(a: np.ndarray, b: np.ndarray | None) -> SetClip:
    file = ClipFile("one", Path("one.mp4"))
    return SetClip(file, a, 8.0, None if b is None else SetClip(file, b, 8.0))


@pytest.mark.parametrize("size", [(40, 61), (11, 11)])
def test_psnr_and_ssim_are_scikit_images(size):
    a, b = pair(3, *size)
    expected = [
        structural_similarity(
            x, y, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for x, y in zip(a, b)
    ]
    assert pairs.ssim(a, b) == pytest.approx(expected, abs=1e-12)
    assert pairs.psnr(a, b) == pytest.approx([peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b)])


def test_equal_frames_and_black_against_white():
    """common_metrics_on_video_quality states 0 dB and 1e-4 for black against white."""
    a = pair(2, 20, 20)[0]
    assert (pairs.psnr(a, a) == 100).all() and pairs.ssim(a, a) == pytest.approx(1.0)
    black, white = np.zeros_like(a), np.full_like(a, 255)
    assert (pairs.psnr(black, white) == 0).all() and pairs.ssim(black, white) == pytest.approx(1e-4, rel=1e-3)


def test_a_yardstick_means_over_frames_and_then_over_clips():
    yardstick = pairs.make_psnr(YardstickSettings())
    a, b = pair(3, 20, 20)
    rows = [yardstick.measure(clip(a, b)), yardstick.measure(clip(a, a[:2]))]
    score = yardstick.score(rows, [])
    assert score.per_clip == (pytest.approx(pairs.psnr(a, b).mean()), 100.0)
    assert score.value == pytest.approx(np.mean(score.per_clip))
    assert score.facts == {"pairs": 2, "pairs_of_different_lengths": 1}
    assert yardstick.score([], []).value is None


@pytest.mark.parametrize(("name", "first", "second", "words"), [
    ("psnr", (2, 20, 20, 3), (2, 20, 22, 3), "20x20 and 22x20"),
    ("ssim", (2, 20, 10, 3), (2, 20, 10, 3), "10x20; ssim needs 11"),
    ("psnr", (2, 20, 20, 3), (0, 20, 20, 3), "no frames"),
    ("psnr", (2, 20, 20, 3), None, "no partner"),
])  # fmt: skip
def test_pairs_that_cannot_be_measured(name, first, second, words):
    yardstick = {"psnr": pairs.make_psnr, "ssim": pairs.make_ssim}[name](YardstickSettings())
    arrays = [None if shape is None else np.zeros(shape, np.uint8) for shape in (first, second)]
    with pytest.raises(MediaError, match=words):
        yardstick.measure(clip(*arrays))


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('ran')",)


WIDTHS = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The two files with random weights in their published layout."""
    folder, generator = tmp_path_factory.mktemp("lpips"), torch.Generator().manual_seed(0)
    backbone = {"classifier.1.weight": torch.zeros(4)}
    for number, (out, into, side) in zip((0, 3, 6, 8, 10), WIDTHS):
        backbone[f"features.{number}.weight"] = torch.randn(out, into, side, side, generator=generator) / (
            into**0.5 * side
        )
        backbone[f"features.{number}.bias"] = torch.randn(out, generator=generator) * 0.1
    linear = {
        f"lin{k}.model.1.weight": torch.rand(1, out, 1, 1, generator=generator) for k, (out, *_) in enumerate(WIDTHS)
    }
    torch.save(backbone, folder / "alexnet.pth")
    torch.save(linear, folder / "alex.pth")
    return folder / "alexnet.pth", folder / "alex.pth"


def by_formula(a: np.ndarray, b: np.ndarray, backbone: dict, linear: dict) -> float:
    """Equation 1 on AlexNet as torch.nn layers, in float64."""
    nn = torch.nn
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    ).double()  # fmt: skip
    layers.load_state_dict({name.removeprefix("features."): w for name, w in backbone.items() if name[0] == "f"})
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x, y = (torch.from_numpy(((each / 127.5 - 1) - shift) / scale).permute(2, 0, 1)[None] for each in (a, b))
    total, k = 0.0, 0
    with torch.no_grad():
        for layer in layers:
            x, y = layer(x), layer(y)
            if isinstance(layer, nn.ReLU):
                u, v = (z[0].numpy() / (np.linalg.norm(z[0].numpy(), axis=0) + 1e-10) for z in (x, y))
                weights = linear[f"lin{k}.model.1.weight"].numpy().reshape(-1, 1, 1)
                total, k = total + (weights * (u - v) ** 2).sum(0).mean(), k + 1
    return total


def test_lpips_is_its_formula(files):
    network = Lpips("cpu", *files)
    a, b = pair(2, 64, 72, noise=60)
    weights = [torch.load(file, weights_only=True) for file in files]
    expected = [by_formula(x, y, *weights) for x, y in zip(a, b)]
    assert network(a, b) == pytest.approx(expected, rel=1e-4)
    assert (network(a, a) == 0).all() and min(expected) > 1e-4


def test_lpips_says_what_it_lacks(files, tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    pairs._lpips.cache_clear()
    yardstick = pairs.make_lpips(YardstickSettings())
    with pytest.raises(WeightsMissing, match=r"alexnet-owt-7be5be79\.pth, from https://download\.pytorch\.org"):
        yardstick.check([], [])
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / lpips.BACKBONE).write_bytes(files[0].read_bytes())
    monkeypatch.setitem(sys.modules, "lpips", None)
    monkeypatch.setattr(lpips.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsMissing, match=r"pip install .*\[lpips\]"):
        yardstick.check([], [])
    with pytest.raises(ModelError, match="not 7be5be79"):
        Lpips("cpu", None, files[1])
    torch.save({"a": Evil()}, tmp_path / "pickle.pth")
    with pytest.raises(ModelError, match=r"pickle\.pth: cannot be read"):
        Lpips("cpu", files[0], tmp_path / "pickle.pth")
    with pytest.raises(ModelError, match="no tensor"):
        Lpips("cpu", files[1], files[1])
