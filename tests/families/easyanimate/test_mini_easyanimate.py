"""kinema-mini-easyanimate: its card is its files', its image model is inside it, and clips show what was asked."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import kinema
from kinema.conditions.inputs import inline_png
from kinema.core.registry import built_in_cards
from kinema.core.request import Request
from kinema.engine.generate import sample
from kinema.engine.load import load
from kinema.families.easyanimate import recognise
from kinema.families.easyanimate.paper.cards import MINI
from kinema.families.easyanimate.paper.transformer import PaperTransformer, is_motion
from kinema.weights.headers import tensors
from kinema.weights.store import digests

FOLDER = Path(kinema.__file__).parent / str(MINI.builtin)
pytestmark = pytest.mark.skipif(
    not any(FOLDER.rglob("*.safetensors")), reason="the weights of kinema-mini-easyanimate are not in this checkout"
)
MODEL, PROMPT = "kinema-mini-easyanimate", "a red ball rolls left over the grass"


@pytest.fixture(scope="module")
def engine():
    return load(MODEL, device="cpu")


@pytest.fixture(scope="module")
def judge():
    from kinema.evaluation.cases import world_from
    from kinema.evaluation.judge import Judge
    from kinema.evaluation.probes import load_probes

    return Judge(load_probes(), world_from(json.loads((FOLDER / "card.json").read_text())))


def planned(engine, **changes):
    own = {"prompt": PROMPT, "model": MODEL, "seed": 1, "steps": 2, "profile": "exact", "frames": 9}
    return engine.plan(Request(**{**own, **changes}))


def latents(engine, plan):
    family = engine.family
    return sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])


def held_out(count):
    from kinema.evaluation.cases import ClipShape, cases, one_object_still_camera, world_from

    world = world_from(json.loads((FOLDER / "card.json").read_text()))
    return list(cases(world, count, ClipShape(17, 64, 64, 8.0), one_object_still_camera))


def test_the_card_is_the_training_s():
    card = next(card for card in built_in_cards() if card.id == MODEL)
    facts = json.loads((FOLDER / "card.json").read_text())
    native = facts["native"]
    assert card.size.trained == ((native["width"], native["height"]),) and card.domain == "toyland"
    assert (card.frames.trained, card.defaults.fps) == (native["frames"], native["fps"])
    plan = kinema.plan(PROMPT, model="mini-easyanimate", profile="exact")
    asked = facts["recommended"]
    assert (plan.steps, plan.guidance) == (asked["num_inference_steps"], asked["guidance_scale"])
    with pytest.raises(kinema.RequestError, match="last"):
        picture = inline_png(np.zeros((64, 64, 3), np.uint8))
        kinema.plan(PROMPT, model=MODEL, conditions=[{"kind": "image", "image": picture, "at": "last"}])
    assert "knows no words" in kinema.plan("quarterly tax figures", model=MODEL).outside[0]


def test_the_card_describes_the_files():
    facts = json.loads((FOLDER / "card.json").read_text())
    assert facts["weights_sha256"] == digests(FOLDER) and facts["license"] == MINI.licence
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= 8_000_000
    counts = {
        part: sum(
            math.prod(shape) for file in (FOLDER / part).glob("*.safetensors") for shape in tensors(file).values()
        )
        for part in ("transformer", "text_encoder", "vae")
    }
    network = MINI.network
    assert counts == {
        "transformer": network.parameters, "text_encoder": network.text_parameters,
        "vae": network.autoencoder_parameters,
    }  # fmt: skip
    assert facts["native"]["max_sequence_length"] == network.text_length


def test_a_folder_of_it_is_sampled_like_it():
    """Such as the recipe's export."""
    found = recognise(FOLDER)
    for name in ("accepts", "size", "frames", "defaults", "profiles", "options", "domain"):
        assert getattr(found, name) == getattr(MINI, name), name
    assert found.builtin is None and found.id != MINI.id


def test_without_motion_modules_it_is_its_image_model(engine):
    """A network without motion modules, from the other weights, gives the same frames, each from its own noise; a
    picture needs none of the modules' weights to be a clip of one frame."""
    full = engine.family.parts.transformer
    config = {name: value for name, value in full.config.items() if not name.startswith("_")}
    image_model = PaperTransformer(**{**config, "motion": None}).eval().requires_grad_(False)
    image_model.load_state_dict({name: value for name, value in full.state_dict().items() if not is_motion(name)})
    off = planned(engine, options={"motion_module": False})
    clip, moving = latents(engine, off), latents(engine, planned(engine))
    engine.family.parts.transformer = image_model
    try:
        pictures = latents(engine, off)
    finally:
        engine.family.parts.transformer = full
    assert (clip - pictures).abs().max() <= 1e-5
    assert (clip - moving).abs().max() > 0.1, "the modules matter"
    g = torch.Generator().manual_seed(0)
    x, words, t = torch.randn((1, 16, 3, 8, 8), generator=g), torch.randn((1, 4, 96), generator=g), torch.tensor([700])
    with torch.no_grad(), full.with_motion(False):
        whole = full(x, words, t)
        each = torch.cat([image_model(x[:, :, [k]], words, t) for k in range(3)], 2)
    assert (whole - each).abs().max() <= 1e-5


@pytest.mark.parametrize("frames", [1, 17])
def test_pictures_and_clips_show_the_colour_and_the_place(engine, judge, frames):
    """Of held-out captions, seeds 0, 1, ..."""
    right = {"color": [], "background": []}
    for case in held_out(6):
        made = planned(engine, prompt=case.caption, frames=frames, steps=None, seed=case.index, profile="fast")
        found = judge.caption(case, engine.generate(made).frames())
        for name in right.keys() & found.keys():
            right[name] += [found[name]] if isinstance(found[name], bool) else found[name]
    assert all(np.mean(answers) >= 0.8 for answers in right.values()), right


def test_a_given_first_frame_stays(engine, judge):
    """The clip begins with the picture, as far as the autoencoder can draw it, and keeps its colour without words."""
    from kinema.evaluation.judge import psnr

    case = held_out(1)[0]
    picture = {"kind": "image", "image": inline_png(case.frames_FHWC[0])}
    asked = {"prompt": "", "conditions": [picture], "frames": 17, "steps": 8}
    clip = engine.generate(planned(engine, **asked)).frames()
    other = engine.generate(planned(engine, **{**asked, "conditions": []})).frames()
    assert psnr(clip[0], case.frames_FHWC[0]) > max(18, psnr(other[0], case.frames_FHWC[0]) + 5)
    assert judge.object_right(case, judge.read(clip[-8:]))[1]["color"]


@pytest.mark.parametrize("options", [{}, {"context_length": 17}], ids=["at once", "windows"])
def test_the_last_second_of_a_long_clip_has_the_colour_and_the_place(engine, judge, options):
    case = held_out(1)[0]
    made = planned(engine, prompt=case.caption, frames=49, steps=12, seed=0, options=options)
    clip = engine.generate(made).frames()
    assert len(clip) == 49
    found = judge.caption(case, clip[-8:])
    assert found["color"] == [True] and found.get("background", True)
