"""The contract of all families, tested on the built-in checkpoint of each, or on tiny random weights if it has none.
New families are found automatically."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_cogvideox
import tiny_easyanimate
from easyanimate import tiny_paper
from PIL import Image

from kinema.conditions.inputs import inline_png
from kinema.core.errors import RequestError, WeightsMissing
from kinema.core.registry import built_in_cards
from kinema.core.request import Request
from kinema.engine.load import Engine
from kinema.engine.plan import plan as make_plan
from kinema.weights.store import own_place

FEW, MOST = 5, {"cogvideox": 17}
"""Frames where any number is legal, and at most elsewhere, 9 if not stated: short, and yet in several slices (CogVideoX
decodes two latent frames, which are eight frames, at a time)."""
GRAY = inline_png(np.full((64, 64, 3), 120, np.uint8))
"""For models that cannot work without a picture."""
TINY = {
    "cogvideox": {f"tiny-{layout}": layout for layout in ("5b", "1.5-i2v")},
    "easyanimate": {f"tiny-easyanimate-{layout}": layout for layout in ("paper", "inp")},
}
"""Layouts with random weights: the first stands in for the built-in checkpoint of its family where that is missing."""


def is_here(card) -> bool:
    return any(own_place(card).rglob("*.safetensors"))


BUILT_IN = {
    card.id: card.family for card in built_in_cards() if card.builtin and (card.family not in TINY or is_here(card))
}
MODELS = [
    *BUILT_IN,
    *(name for family, names in TINY.items() for name in list(names)[family in BUILT_IN.values() :]),
]  # fmt: skip


def test_every_family_is_covered():
    assert {card.family for card in built_in_cards()} == {*BUILT_IN.values(), *TINY}
    tested = {family for name, family in BUILT_IN.items() if name not in OTHER_WEIGHTS}
    assert {BUILT_IN[name] for name in OTHER_WEIGHTS} <= tested


OTHER_WEIGHTS = {"kinema-mini-zeroscope-xl": "the code of kinema-mini-zeroscope, at 2.25 times its pixels"}
"""Models that run no code of their own: `make test-all` tests them."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name in OTHER_WEIGHTS else name for name in MODELS],
)
def engine(request, mini, mini_path, tmp_path_factory):
    if request.param == mini.family.card.id:
        return mini
    from kinema.engine.load import load

    if request.param in BUILT_IN:
        return load(request.param, device="cpu")
    folder = tmp_path_factory.mktemp("tiny") / request.param
    if request.param in TINY["cogvideox"]:
        tiny_cogvideox.pipeline(TINY["cogvideox"][request.param], sample_frames=17).save_pretrained(folder)
    elif TINY["easyanimate"][request.param] == "paper":
        tiny_paper.write(folder)
    else:
        tiny_easyanimate.pipeline(TINY["easyanimate"][request.param]).save_pretrained(folder)
    return load(str(folder), device="cpu")


def most(card) -> int:
    return MOST.get(card.family, 9)


def quick(engine: Engine, **fields) -> Request:
    settings = {
        "prompt": "a red ball rolls left",
        "model": engine.family.card.path or engine.model,
        "steps": 2,
        "seed": 5,
        "profile": "exact",
    }
    card = engine.family.card
    options: dict = {"motion_words": "text"} if "motion_words" in card.options else {}
    if card.frames.step == 1:  # short, and yet in several slices
        settings["frames"] = FEW
        options["decode_chunk"] = 4
    elif card.frames.trained > most(card):
        settings["frames"] = most(card)
    given = fields.get("conditions", ())
    if "image:first" in card.needs and not any(each.get("at") == "first" for each in given):
        fields["conditions"] = ({"kind": "image", "image": GRAY, "at": "first"}, *given)
    return Request(**{**settings, "options": options, **fields})


def frames(engine: Engine, **fields) -> np.ndarray:
    return engine.generate(quick(engine, **fields)).frames()


@pytest.fixture(scope="module")
def plain(engine):
    return frames(engine)


def test_refuses_bad_sizes_without_weights(engine, monkeypatch):
    monkeypatch.setattr("safetensors.torch.load_file", lambda *_: pytest.fail("weights were touched"))

    def locate(card):  # of other models, which the refusal may suggest
        if card.id == engine.family.card.id:
            pytest.fail("weights were looked for")
        raise WeightsMissing(card.id)

    monkeypatch.setattr("kinema.weights.store.locate", locate)
    for fields in (
        {"width": 65, "height": 64},
        {"frames": 18 if engine.family.card.frames.step > 1 else 100_000},
        {"frames": 100_001},
        {"width": 8, "height": 8},
    ):
        with pytest.raises(RequestError) as caught:
            make_plan(quick(engine, **fields))
        assert caught.value.nearest is not None


def test_the_plan_says_what_comes(engine, plain):
    plan = engine.plan(quick(engine))
    assert plain.shape == (plan.frames, plan.height, plan.width, 3)
    assert plain.dtype == np.uint8


def test_seeded_and_a_request_leaves_nothing_behind(engine, plain):
    frames(engine, steps=1, prompt="a blue star", guidance=2.0)
    assert np.array_equal(frames(engine), plain)
    assert not np.array_equal(frames(engine, seed=6), plain)


def test_chunks_follow_each_other(engine, plain):
    chunks = list(engine.stream(quick(engine)))
    assert len(chunks) > 1
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]
    assert np.array_equal(np.concatenate([chunk.frames for chunk in chunks]), plain)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    picture = np.stack([np.tile(ramp, (64, 1)), np.tile(ramp[:, None], (1, 64)), np.full((64, 64), 90, np.uint8)], -1)
    Image.fromarray(picture).save(folder / "picture.png")
    (folder / "clip").mkdir()
    for index in range(17):
        Image.fromarray(np.roll(picture, index * 3, axis=1)).save(folder / "clip" / f"{index:05d}.png")
    return folder


def examples(folder: Path) -> dict[str, tuple[dict, ...]]:
    """A request's conditions that exercise each feature a card may accept."""
    picture, clip = str(folder / "picture.png"), str(folder / "clip")
    source = {"kind": "source", "video": clip}
    return {
        "image:first": ({"kind": "image", "image": picture, "at": "first"},),
        "image:last": ({"kind": "image", "image": picture, "at": "last"},),
        "image:frame": ({"kind": "image", "image": picture, "at": 8},),
        "reference": ({"kind": "reference", "images": [picture]},),
        "source": (source,),
        "mask": (source, {"kind": "mask", "boxes": [[0.2, 0.2, 0.8, 0.8]]}),
        "control:depth": ({"kind": "control", "control": "depth", "video": clip},),
        "trajectory": ({"kind": "trajectory", "points": [[0.1, 0.5], [0.9, 0.5]], "color": [255, 0, 0]},),
        "continue": ({"kind": "continue", "clip": clip, "frames": 5},),
        "continue:end": ({"kind": "continue", "clip": clip, "frames": 5, "place": "end"},),
        "source:grown": ({**source, "grow": [0.3, 0.0, 0.3, 0.0]},),
        "mask:polygon": (source, {"kind": "mask", "polygon": [[0.2, 0.2], [0.9, 0.3], [0.5, 0.9]]}),
        "mask:hint": (source, {"kind": "mask", "everything": True, "fill": "source"}),
        "control:layout": ({"kind": "control", "control": "layout", "video": clip},),
        "camera": ({"kind": "camera", "move": "pan_left"},),
        "audio": ({"kind": "audio", "track": "x.wav"},),
    }


FEATURES = (
    "image:first", "image:last", "image:frame", "reference", "source", "mask", "control:depth", "trajectory",
    "continue", "continue:end", "camera", "audio", "control:layout", "source:grown", "mask:polygon", "mask:hint",
)  # fmt: skip


@pytest.mark.parametrize("name", FEATURES)
def test_conditions_count_or_are_refused(engine, plain, media, name):
    """A condition that the card declares changes the picture; any other is refused."""
    card = engine.family.card
    frames = FEW if card.frames.step == 1 else min(card.frames.trained, most(card))
    size = {"width": plain.shape[2], "height": plain.shape[1]} if name == "source:grown" else {}
    wanted = quick(engine, conditions=examples(media)[name], frames=frames, fps=8, **size)
    kind = name.split(":")[0] if name.startswith(("source:", "mask:")) else name
    if "controlnet" in card.options and name.startswith(("image:", "control:")):
        with pytest.raises(RequestError, match="requires a ControlNet or SparseCtrl"):
            engine.plan(wanted)
    elif "source" not in card.accepts and any(each.kind == "source" for each in wanted.conditions):
        with pytest.raises(RequestError, match="does not support the condition 'source'"):
            engine.plan(wanted)
    elif name == "source:grown" and "mask" not in card.accepts:
        with pytest.raises(RequestError, match="does not support outpainting"):
            engine.plan(wanted)
    elif kind in card.accepts:
        made = engine.generate(wanted).frames()
        assert made.shape == plain.shape
        assert np.abs(made.astype(int) - plain).mean() > 0.5
    else:
        with pytest.raises(RequestError, match=kind):
            engine.plan(wanted)


def test_decoded_in_slices_equals_decoded_whole(engine):
    import torch

    from kinema.engine.generate import sample
    from kinema.families.wan.decode import decode

    family, plan = engine.family, engine.plan(quick(engine))
    latents = sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])
    if "decode_chunk" in plan.options:
        slices, whole = (
            np.concatenate([chunk.frames for chunk in family.decode(latents, sized, plan.spans[0])])
            for sized in (plan.model_copy(update={"options": {**plan.options, "decode_chunk": n}}) for n in (3, 64))
        )
        difference = np.abs(slices.astype(int) - whole)
        if hasattr(
            family.parts.vae.decoder, "time_conv_out"
        ):  # it reads several frames, so frames at a slice's end differ
            assert 0 < difference.mean() < 3
        else:
            assert difference.max() <= 1
        return
    vae = family.parts.vae
    if getattr(vae.config, "latents_mean", None) is None:
        with torch.no_grad():
            count = (plan.frames - 1) // vae.config.get("temporal_compression_ratio", 2) + 1
            whole = vae.decode(latents[:, :, -count:] / vae.config.scaling_factor).sample
        made = np.concatenate([chunk.frames for chunk in family.decode(latents, plan, plan.spans[0])])
        assert np.abs((whole[0].movedim(0, -1).clamp(-1, 1).numpy() + 1) * 127.5 - made).max() < 0.51
        return
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    with torch.no_grad():
        whole = vae.decode(latents * std + mean).sample
    assert (torch.cat(list(decode(vae, latents)), dim=2) - whole).abs().max() < 1e-5
