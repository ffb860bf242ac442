"""Upscale steps by a model: planned within the plan, generated from its frames, recorded in the manifest."""

from __future__ import annotations

import numpy as np
import pytest

import kinema
from kinema.core.errors import RequestError
from kinema.core.plan import Plan
from kinema.core.request import Request
from kinema.engine.load import load
from kinema.engine.plan import plan as make_plan
from kinema.media.manifest import read_manifest

SMALL = {"prompt": "a red ball in a meadow", "model": "kinema-mini-zeroscope", "frames": 2, "steps": 3, "seed": 5}
AGAIN = {"by": "kinema-mini-zeroscope", "strength": 0.6, "width": 96, "height": 96, "steps": 5}


@pytest.fixture(scope="module")
def engine():
    return load("kinema-mini-zeroscope", device="cpu")


def test_the_plan_holds_both(engine):
    found = engine.plan(Request(**SMALL, upscale=AGAIN))
    (second,) = found.by_model
    assert (found.width, found.size) == (64, (96, 96))
    assert (second.frames, second.seed, second.prompt, second.steps) == (2, 5, SMALL["prompt"], 5)
    assert second.options["strength"] == 0.6
    assert Plan.from_dict(found.model_dump(mode="json")) == found
    alone = engine.plan(Request(**SMALL)).estimate
    assert found.estimate.pflop > 2 * alone.pflop


def test_frames_come_from_the_first_pass(engine, tmp_path):
    first = engine.generate(Request(**SMALL), profile="exact").frames()
    clip = engine.generate(Request(**SMALL, upscale=AGAIN, profile="exact"))
    found = clip.frames()
    assert found.shape == (2, 96, 96, 3)
    # The layout stays: at a quarter of the size both look alike, and unlike another clip.
    small = found.reshape(2, 12, 8, 12, 8, 3).mean((2, 4))
    other = engine.generate(Request(**{**SMALL, "seed": 9}), profile="exact").frames()
    was, unlike = (each[:, :60, :60].reshape(2, 12, 5, 12, 5, 3).mean((2, 4)) for each in (first, other))
    assert np.abs(small - was).mean() < 0.6 * np.abs(small - unlike).mean()

    path = clip.save(tmp_path / "clip.mp4")
    noted = read_manifest(path)
    assert any(name.startswith("upscale/0/") for name in noted["weights"])
    again = engine.generate(Plan.from_dict(noted["plan"])).frames()
    assert np.array_equal(again, found)


def test_what_cannot_be_is_refused_with_what_can():
    with pytest.raises(RequestError, match="No upscale model is known"):
        make_plan(Request(prompt="x", upscale="xl"))
    with pytest.raises(RequestError, match="cannot upscale") as refused:
        make_plan(Request(prompt="x", upscale="kinema-mini-svd"))
    assert "zeroscope-xl" in refused.value.legal
    with pytest.raises(RequestError, match="is smaller than the clip"):
        make_plan(Request(**SMALL, upscale={**AGAIN, "width": 32, "height": 32}))
    with pytest.raises(RequestError):
        make_plan(Request(**SMALL, upscale={**AGAIN, "strength": 1.5}))


@pytest.mark.parametrize(
    ("model", "upscale", "steps"),
    [
        ("kinema-mini-wan", 4, [("network", 4)]),
        ("kinema-mini-wan", 2.5, [("network", 2.5)]),
        ("kinema-mini-wan", 8, [("lanczos", 8)]),
        ("kinema-mini-wan", [4, 2], [("network", 4), ("lanczos", 2)]),
        ("kinema-mini-wan", "lanczos:4", [("lanczos", 4)]),
        ("kinema-mini-zeroscope", 4, [("lanczos", 4)]),
        ("kinema-mini-zeroscope", "network", [("network", 4)]),
        ("wan2.1-t2v-1.3b", 2, [("lanczos", 2)]),
    ],
)
def test_the_default_method_is_that_of_the_model(model, upscale, steps):
    """The network was trained on the frames of one miniature."""
    found = make_plan(Request(prompt="a red ball", model=model, upscale=upscale))
    assert [(step.by, step.scale) for step in found.upscale] == steps


def test_the_shipped_partner_works_at_its_own_size(engine):
    """kinema-mini-zeroscope-xl was trained at 96x96 on an image model of 64x64, whose finest level it includes."""
    found = engine.plan(Request(**SMALL, upscale={"by": "xl", "steps": 2, "strength": 0.5}))
    assert found.by_model[0].model == "kinema-mini-zeroscope-xl" and found.by_model[0].size == (96, 96)
    assert not [note for note in found.by_model[0].notes if "trained on" in note and "96x96" in note]
    assert engine.generate(found).frames().shape == (2, 96, 96, 3)


def test_the_published_partner_is_known():
    found = make_plan(Request(prompt="x", model="zeroscope", upscale="xl"))
    assert found.by_model[0].model == "zeroscope-xl" and found.by_model[0].size == (1024, 576)
    assert found.frames == found.by_model[0].frames == 24
    assert kinema.Request(prompt="x", upscale="xl").to_json().count("strength") <= 1


@pytest.mark.slow
def test_temporal_layers_align_the_upscaled_frames(engine, tmp_path):
    """Video LDM's upsampler (arXiv 2304.08818, section 3.4): the image model alone upscales every frame as it likes,
    with temporal layers the frames agree."""
    import torch
    from diffusers import UNet2DConditionModel

    from kinema.evaluation.steadiness import flicker
    from kinema.sd import bases, temporal_layers
    from kinema.sd.inflate import inflate

    image = UNet2DConditionModel.from_pretrained(
        bases.find("kinema-mini-image").place / "unet", torch_dtype=torch.float32
    )
    temporal_layers.write(tmp_path / "alone", inflate(image), image, base="kinema-mini-image", num_frames=16)
    fields = {**SMALL, "frames": 8, "steps": 8, "profile": "exact"}
    flickers = {}
    for name in (str(tmp_path / "alone"), "kinema-mini-zeroscope"):
        again = {"by": name, "strength": 0.8, "width": 96, "height": 96, "steps": 10}
        frames = engine.generate(Request(**fields, upscale=again)).frames()
        flickers[name] = flicker(frames, np.ones(frames.shape[:3], bool))
    alone, aligned = flickers.values()
    assert aligned < 0.7 * alone, flickers
