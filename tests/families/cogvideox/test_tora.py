"""Tora as a model of the CogVideoX family: cards, detection, loading, and clips that follow paths."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import kinema
from kinema.core.errors import ModelError, RequestError
from kinema.engine.generate import generate, sample
from kinema.engine.plan import plan as make_plan
from kinema.families.cogvideox import CARDS, load, recognise
from kinema.families.cogvideox.tora import checkpoint, motion_map
from kinema.families.cogvideox.tora.cards import parameters
from kinema.families.cogvideox.tora.fusers import FUSERS
from kinema.families.cogvideox.tora.networks import MotionGuidance

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny_cogvideox as tiny

CHANNELS, SIDE, FRAMES = 8, tiny.SIDE, tiny.FRAMES
LINE = {"kind": "trajectory", "points": [(0.1, 0.5), (0.9, 0.5)]}
"""Left to right."""
KINDS = {"5b": "ToraPipeline", "5b-i2v": "ToraImageToVideoPipeline", "1.5": "ToraPipeline"}


def tora_folder(folder, layout, random=True, fuser="adaptive_norm"):
    """A tiny model in the published layout: Tora's tensors in the transformer's file, the authors' classes."""
    pipe = tiny.pipeline(layout)
    pipe.save_pretrained(folder)
    torch.manual_seed(7)
    config = dict(pipe.transformer.config)
    guidance = MotionGuidance.of(config, CHANNELS, FUSERS[fuser])
    if random:
        for parameter in guidance.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    place = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    save_file(checkpoint.state_of([pipe.transformer, guidance]), place, {"format": "pt"})
    text = json.dumps(checkpoint.config_of(config, 3.0))
    (folder / "transformer" / "config.json").write_text(text)
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"], index["transformer"] = KINDS[layout], ["tora.transformer_3d", "ToraTransformer3DModel"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A function: (folder, family) of a layout, made once."""
    known = {}

    def get(layout, **more):
        key = (layout, *more.items())
        if key not in known:
            folder = tora_folder(tmp_path_factory.mktemp("tora") / "tiny-tora", layout, **more)
            known[key] = folder, load(recognise(folder), folder, "cpu")
        return known[key]

    return get


def request(folder, layout="5b", **fields):
    conditions = list(fields.pop("conditions", ()))
    if layout.endswith("i2v"):
        picture = folder / "picture.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(picture)
        conditions.append({"kind": "image", "image": str(picture)})
    base = {"model": str(folder), "prompt": tiny.PROMPT, "seed": 3, "steps": 3, "profile": "exact"}
    return make_plan(kinema.Request(**(base | fields), conditions=conditions), device="cpu")


def latents(family, plan):
    cond = family.encode(plan, family.prepare(plan))
    return sample(plan, family, cond, plan.spans[0])


def test_the_cards_have_the_published_defaults():
    text, image = (next(card for card in CARDS if card.id == name) for name in ("tora", "tora-i2v"))
    for card in (text, image):
        assert (card.size.trained[0], card.frames.trained, card.defaults.fps) == ((720, 480), 49, 8.0)
        assert (card.defaults.steps, card.defaults.guidance) == (50, 6.0)
        options = {name: option.default for name, option in card.options.items()}
        assert options["dynamic_guidance"] is True and options["solver"] == "dpm" and options["trajectory_sigma"] == 10
        assert "trajectory" in card.accepts and "strength" not in options
    assert text.hub == "Alibaba-Research-Intelligence-Computing/Tora_T2V_diffusers" and text.needs == ()
    assert image.needs == ("image:first",) and "image:first" in image.accepts


def test_the_parameters_on_the_cards_are_counted():
    plain, card = (next(card for card in CARDS if card.id == name) for name in ("cogvideox-5b", "tora"))
    sizes = {"num_layers": 42, "num_attention_heads": 48, "attention_head_dim": 64, "patch_size": 2, "in_channels": 16}
    for patch_t, network in ((1, plain.network), (2, next(c for c in CARDS if c.id == "cogvideox-1.5-5b").network)):
        with torch.device("meta"):
            counted = sum(p.numel() for p in MotionGuidance.of({**sizes, "patch_size_t": patch_t}).parameters())
        assert parameters(network) == counted
    assert card.network.parameters - plain.network.parameters == parameters(plain.network)


@pytest.mark.parametrize("layout", KINDS)
def test_folders_of_the_published_layout_are_recognised(saved, layout):
    folder, family = saved(layout)
    card = recognise(folder)
    assert card.id == "tiny-tora" and "trajectory" in card.accepts and "source" not in card.accepts
    assert card.variant == ("i2v" if layout.endswith("i2v") else "t2v")
    assert card.options["trajectory_sigma"].default == 3.0
    assert family.parts.motion is not None and isinstance(family.parts.motion.guidance, MotionGuidance)


def test_the_loaded_parts_are_those_of_the_file(saved):
    folder, family = saved("5b")
    state = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    guidance, transformer = family.parts.motion.guidance, family.parts.transformer
    both = {**guidance.state_dict(), **transformer.state_dict()}
    assert set(state) == set(both) and all(torch.equal(state[name], both[name]) for name in state)
    assert any(name.startswith("fuser.1.") for name in state) and any(name.startswith("traj_") for name in state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("fuser.1.flow_beta_temporal.weight"), "fuser.1.flow_beta_temporal.weight is missing"),
        (lambda s: s.pop("transformer_blocks.0.attn1.to_q.weight"), "transformer_blocks.0.attn1.to_q.weight"),
        (
            lambda s: s.update({"fuser.7.flow_cond_norm.bias": torch.zeros(2)}),
            "fuser.7.flow_cond_norm.bias is not",
        ),
        (lambda s: s.update({"fuser.1.flow_cond_norm.bias": torch.zeros(3)}), r"norm.bias has the shape \[3\]"),
    ],
)
def test_missing_unknown_and_wrong_tensors_are_named(saved, tmp_path, change, words):
    folder = tmp_path / "damaged"
    shutil.copytree(saved("5b")[0], folder)
    place = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    state = load_file(place)
    change(state)
    save_file(state, place, {"format": "pt"})
    with pytest.raises(ModelError, match=words):
        load(recognise(folder), folder, "cpu")


def test_counters_of_batch_normalisation_may_be_absent(saved, tmp_path):
    folder, family = saved("5b")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    place = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    state = {name: each for name, each in load_file(place).items() if not name.endswith("num_batches_tracked")}
    save_file(state, place, {"format": "pt"})
    plan = request(folder, conditions=[LINE])
    assert torch.equal(latents(load(recognise(copy), copy, "cpu"), plan), latents(family, plan))


@pytest.mark.parametrize("layout", KINDS)
def test_a_path_changes_the_clip_and_none_is_the_plain_model(saved, layout):
    folder, family = saved(layout)
    plain, led = request(folder, layout), request(folder, layout, conditions=[LINE])
    without = latents(family, plain)
    assert (latents(family, led) - without).abs().max() > 1e-3
    motion, family.parts.motion = family.parts.motion, None
    try:
        assert torch.equal(latents(family, plain), without)
    finally:
        family.parts.motion = motion
    [chunk] = generate(led, family)
    assert chunk.frames.shape == (FRAMES, SIDE, SIDE, 3)


@pytest.mark.parametrize("fuser", ["adaptive_norm", "extra_channels", "cross_attention"])
def test_untrained_fusers_change_nothing(saved, fuser):
    """Bit for bit, through the whole sampling."""
    folder, family = saved("5b", random=False, fuser=fuser)
    assert type(family.parts.motion.guidance.fuser[0]) is FUSERS[fuser]
    led, plain = request(folder, conditions=[LINE]), request(folder)
    assert torch.equal(latents(family, led), latents(family, plain))


def test_several_paths_are_one_motion_map(saved):
    folder, family = saved("5b")
    other = {"kind": "trajectory", "points": [(0.8, 0.1), (0.8, 0.9)]}
    plan = request(folder, conditions=[LINE, other])
    flow = family.prepare(plan).flow_BCFHW
    paths = [np.stack([np.linspace(*ends, FRAMES) for ends in pairs], 1) * SIDE
             for pairs in (((0.1, 0.9), (0.5, 0.5)), ((0.8, 0.8), (0.1, 0.9)))]  # fmt: skip
    drawn = motion_map.draw(paths, SIDE, SIDE, 3.0)
    assert flow.shape == (1, 3, FRAMES, SIDE, SIDE) and flow.dtype == torch.float32
    assert torch.allclose((flow[0].movedim(0, -1) + 1) * 127.5, torch.from_numpy(drawn).float(), atol=1e-3)
    assert not torch.equal(latents(family, plan), latents(family, request(folder, conditions=[LINE])))


def test_the_width_of_the_motion_is_an_option(saved):
    folder, family = saved("5b")
    narrow, wide = (
        family.prepare(request(folder, conditions=[LINE], options={"trajectory_sigma": each})).flow_BCFHW
        for each in (1.0, 5.0)
    )
    assert (narrow < 0.99).sum() < (wide < 0.99).sum() / 3
    with pytest.raises(RequestError, match="trajectory_sigma"):
        request(folder, conditions=[LINE], options={"trajectory_sigma": 0.0})


def test_plain_models_refuse_paths_and_name_those_that_take_them(tmp_path):
    with pytest.raises(RequestError, match="does not support the condition 'trajectory'") as caught:
        make_plan(kinema.Request(prompt="a", model="cogvideox-5b", conditions=[LINE]), device="cpu")
    assert "tora" in caught.value.models
    with pytest.raises(RequestError, match="requires the condition 'image:first'"):
        make_plan(kinema.Request(prompt="a", model="tora-i2v", conditions=[LINE]), device="cpu")


def test_a_tora_pipeline_with_another_transformer_is_refused(saved, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(saved("5b")[0], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    file = folder / "transformer" / "config.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | {"_class_name": "CogVideoXTransformer3DModel"}))
    with pytest.raises(ModelError, match="unsupported transformer class CogVideoXTransformer3DModel"):
        recognise(folder)
    file.write_text(json.dumps(values | {"motion_sigma_px": 0}))
    with pytest.raises(ModelError, match=r"motion_sigma_px must be a number from 0.3 to 200, got 0"):
        recognise(folder)


def test_a_folder_without_toras_tensors_is_refused(saved, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(saved("5b")[0], folder)
    place = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    state = {name: each for name, each in load_file(place).items() if not name.startswith(checkpoint.PREFIXES)}
    save_file(state, place, {"format": "pt"})
    with pytest.raises(ModelError, match=r"no parts of Tora: traj_extractor\.conv_in\.bias is missing"):
        load(recognise(folder), folder, "cpu")


@pytest.mark.parametrize("layout", KINDS)
def test_a_path_as_text_json_and_svg_gives_the_same_latents(saved, layout, tmp_path):
    """The same points on Tora's canvas of 256 x 256, whatever the format."""
    from kinema.conditions.path_file import read_paths

    folder, family = saved(layout)
    points = [(20, 128), (100, 40), (180, 200), (180, 200), (240, 64)]
    (tmp_path / "a.txt").write_text("\n".join(f"{x},{y}" for x, y in points))
    (tmp_path / "a.json").write_text(json.dumps({"size": [256, 256], "points": points}))
    pairs = " ".join(f"{x},{y}" for x, y in points)
    (tmp_path / "a.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256"><polyline points="{pairs}"/></svg>'
    )
    names = ("a.txt", "a.json", "a.svg")
    text, *others = [latents(family, request(folder, layout, conditions=read_paths(tmp_path / each))) for each in names]
    assert all(torch.equal(text, other) for other in others)
    assert not torch.equal(text, latents(family, request(folder, layout, conditions=[LINE])))


def test_a_moved_point_changes_only_later_latents_of_the_motion(saved):
    """The autoencoder encodes frames 0..8, 9..16, 17..24, ... together (its normalisation averages over each slice) and
    passes only earlier frames on. So the latents of slices before the moved point stay, bit for bit; those from its
    slice on change. (The transformer attends to all frames at once: the clip itself may change everywhere.)"""
    folder, family = saved("5b")
    size, frames, moved = 160, 25, 19
    fast = {"kind": "trajectory", "points": [(0.9, 0.0), (0.9, 1.0)]}
    points = [(0.1, 0.2 + 0.02 * number) for number in range(frames)]
    after = [*points[:moved], (0.12, points[moved][1]), *points[moved + 1 :]]
    pictures, encoded = [], []
    for each in (points, after):
        conditions = [fast, {"kind": "trajectory", "points": each}]
        options = {"decode_tiles": "never"}
        plan = request(folder, conditions=conditions, frames=frames, width=size, height=size, options=options)
        pictures.append(family.prepare(plan).flow_BCFHW)
        encoded.append(family.encode_pixels(pictures[-1], plan, "flow"))
    same = [torch.equal(*(each[:, :, frame] for each in pictures)) for frame in range(frames)]
    assert same == [number not in (moved, moved + 1) for number in range(frames)]
    latent = [torch.equal(*(each[:, :, frame] for each in encoded)) for frame in range(7)]
    assert latent == [True] * 5 + [False] * 2


def test_a_camera_move_is_a_grid_of_paths(saved):
    folder, family = saved("5b")
    move = {"kind": "camera", "move": "pan_right"}
    plan = request(folder, conditions=[move])
    flow = family.prepare(plan).flow_BCFHW[0]
    assert (flow[:, 0] == 1).all() and (flow[:, 1:].amin((0, 2, 3)) < 0).all()
    moving = flow[:, 1:].amin(0) < 0.5
    red, _, blue = flow[:, 1:][:, moving]
    assert moving.float().mean() > 0.05 and (red < blue).all()  # the picture moves to the left: cyan to blue
    still = family.prepare(request(folder, conditions=[{**move, "move": "still"}])).flow_BCFHW
    assert (still == 1).all()
    both = family.prepare(request(folder, conditions=[LINE, move])).flow_BCFHW
    assert not torch.equal(both[0], flow) and not torch.equal(latents(family, plan), latents(family, request(folder)))
