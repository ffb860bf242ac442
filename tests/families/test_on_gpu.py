"""On a GPU every family generates the same clip as on the CPU: to rounding in float32, closely in its own half
precision, also with weights that only visit the device."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

import kinema
from kinema.evaluation.judge import psnr

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="cannot start: no CUDA device"),
]

MODELS = ("kinema-mini-wan", "kinema-mini-zeroscope", "kinema-mini-svd", "kinema-mini-animatediff")


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(path)
    return str(path)


def frames(model, picture, device, dtype):
    engine = kinema.load(model, device=device, dtype=dtype)
    fields = {"image": picture} if "svd" in model else {"prompt": "a red ball rolls left over a green hill at sunset"}
    return engine.generate(kinema.Request(seed=3, steps=6, profile="exact"), **fields).frames()


@pytest.mark.parametrize("model", MODELS)
def test_the_clip_is_the_same(model, picture):
    cpu = frames(model, picture, "cpu", "float32")
    assert psnr(frames(model, picture, "cuda", "float32"), cpu) > 38
    assert psnr(frames(model, picture, "cuda", None), cpu) > 24


def test_weights_that_visit(picture, monkeypatch):
    from kinema.weights import residency

    whole = frames("kinema-mini-wan", picture, "cuda", "float32")
    monkeypatch.setattr(residency, "HEADROOM", 0.0)
    assert psnr(frames("kinema-mini-wan", picture, "cuda", "float32"), whole) > 45


@pytest.mark.parametrize("layout", ("2b", "1.5-i2v"))
def test_cogvideox(layout, picture, tmp_path, monkeypatch):
    """Both solvers, with tiny random weights; the noise of the stochastic one is drawn on the CPU."""
    import tiny_cogvideox

    from kinema.weights import residency

    tiny_cogvideox.pipeline(layout).save_pretrained(tmp_path / "model")
    fields = {"image": picture} if layout.endswith("i2v") else {}

    def made(device, dtype="float32", **options):
        engine = kinema.load(str(tmp_path / "model"), device=device, dtype=dtype)
        request = kinema.Request(prompt="a hill", seed=3, steps=4, profile="exact", options=options)
        return engine.generate(request, **fields).frames()

    for options in ({"solver": "ddim"}, {"solver": "dpm"}, {"decode_tiles": "always"}):
        assert psnr(made("cuda", **options), made("cpu", **options)) > 38
    whole = made("cuda")
    monkeypatch.setattr(residency, "HEADROOM", 0.0)
    assert psnr(made("cuda"), whole) > 45


def test_interpolation():
    from kinema.post.film.between import FilmBetween
    from kinema.post.film.weights import open_film

    rng = np.random.default_rng(1)
    first = rng.integers(0, 255, (12, 12, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    second = np.roll(first, 4, 1)
    made = [FilmBetween(open_film(), device)(first, second, [Fraction(1, 3)])[0] for device in ("cpu", "cuda")]
    assert psnr(made[1], made[0]) > 45


def test_moving_layers():
    from kinema.training.data.moving_pictures import MovingPictures
    from kinema.training.data.textures import make_bank

    bank = make_bank(0, 7, 7)
    made = [MovingPictures(bank, 64, device).draw(6, torch.Generator().manual_seed(0)) for device in ("cpu", "cuda")]
    assert torch.allclose(made[1].motion_B4HW.cpu(), made[0].motion_B4HW, atol=0.01)
    assert float((made[1].frames_BTCHW.cpu() - made[0].frames_BTCHW).abs().mean()) < 1e-3
