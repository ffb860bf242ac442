"""EasyAnimate V5.1 apart from the comparison with the pipelines: cards, refusals, decoding, adapters, windows."""

from __future__ import annotations

import copy
import json
from contextlib import contextmanager

import numpy as np
import pytest
import tiny_easyanimate as tiny
import torch
from test_easyanimate_oracle import blocks, common, ours, request, saved, saved_clip, start  # noqa: F401
from tiny_easyanimate import CHANNELS, FRAMES, SIDE

import kinema
from kinema.core.errors import ModelError, RequestError
from kinema.core.registry import built_in_cards
from kinema.engine.generate import generate
from kinema.engine.resume import SamplingState
from kinema.families.easyanimate import autoencoder, recognise
from kinema.weights.block_mover import BlockMover
from kinema.weights.residency import Residency

CARDS = {card.id: card for card in built_in_cards() if card.family == "easyanimate" and card.hub}
NAMES = {"t2v": "EasyAnimatePipeline", "inp": "EasyAnimateInpaintPipeline", "control": "EasyAnimateControlPipeline"}
NAMES["camera"] = NAMES["control"]
CHANNELS_IN = {"t2v": 16, "inp": 33, "control": 48, "camera": 38}
LAYERS = {36: 18, 48: 48}
"""Layers of the 7B and 12B models, and those with own weights for the text."""


def published(variant, layers):
    return {
        "num_attention_heads": 48, "attention_head_dim": 64, "in_channels": CHANNELS_IN[variant], "out_channels": 16,
        "patch_size": 2, "num_layers": layers, "mmdit_layers": LAYERS[layers], "text_embed_dim": 3584,
        "add_norm_text_encoder": True,
    }  # fmt: skip


def bare_folder(folder, kind, transformer, vae=None, **index):
    """A diffusers folder without weights."""
    name = "EasyAnimateTransformer3DModel"
    files = {
        "model_index.json": {"_class_name": kind, **index},
        "transformer/config.json": {"_class_name": name, **transformer},
        "vae/config.json": {"_class_name": "AutoencoderKLMagvit", "block_out_channels": [128, 256, 512, 512]}
        | (vae or {}),
    }
    for file, values in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(json.dumps(values))
    return folder


# -- cards and refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CARDS)
def test_the_published_configurations(name, tmp_path):
    """A folder with a published configuration has its card, which counts its parameters."""
    from diffusers import EasyAnimateTransformer3DModel

    card = CARDS[name]
    config = published(card.variant, card.network.layers)
    with torch.device("meta"):
        network = EasyAnimateTransformer3DModel(**config)
    assert sum(p.numel() for p in network.parameters()) == card.network.parameters
    found = recognise(bare_folder(tmp_path / "model", NAMES[card.variant], config))
    assert (found.id, found.path, found.hub) == ("model", str(tmp_path / "model"), None)
    for field in ("size", "frames", "defaults", "network", "options", "accepts", "needs"):
        assert getattr(found, field) == getattr(card, field), field


def test_the_published_defaults():
    plan = kinema.plan("a hill", model="alibaba-pai/EasyAnimateV5.1-12b-zh", seed=1)
    assert (plan.model, plan.width, plan.height, plan.frames, plan.fps) == ("easyanimate-5.1-12b", 672, 384, 49, 8)
    assert (plan.steps, plan.guidance) == (50, 6.0) and plan.negative_prompt.startswith("Twisted body")
    assert not plan.notes and plan.estimate.gb > 30


@pytest.mark.parametrize(
    ("name", "fields", "nearest"),
    [
        ("easyanimate-5.1-7b", {"frames": 50}, 49),
        ("easyanimate-5.1-7b", {"width": 680, "height": 384}, "672x384"),
        ("easyanimate-5.1-12b", {"options": {"context_length": 16, "context_overlap": 16}}, 5),
    ],
)
def test_refusals_name_the_nearest_legal_value(name, fields, nearest):
    with pytest.raises(RequestError) as caught:
        kinema.plan("a hill", model=name, **fields)
    assert caught.value.nearest == nearest and caught.value.legal


MASK = {"kind": "mask", "everything": True}
POSE = {"kind": "control", "control": "pose"}
PATH = {"kind": "trajectory", "points": [[0.1, 0.2], [0.9, 0.5]]}
POSED = [0.5, 0.9, 0.5, 0.5, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("7b-inp", {"conditions": (MASK,)}, "mask requires a source"),
        ("7b-inp", {"options": {"strength": 0.5}}, "strength requires a source"),
        ("7b", {"conditions": ({"kind": "image", "image": "x.png", "at": "first"},)}, "image:first"),
        ("7b-control", {"conditions": (POSE,)}, "pose control has no clip"),
        ("7b-control", {"options": {"image_noise": 0.1}}, "no option 'image_noise'"),
        ("7b-control", {"conditions": (PATH, POSE | {"video": "x.mp4"})}, "paths or a control clip"),
        ("7b-control", {"conditions": ({"kind": "camera", "move": "still"},)}, "not support the condition 'camera'"),
        ("7b-control-camera", {"conditions": (PATH,)}, "not support the condition 'trajectory'"),
        ("7b-control-camera", {"conditions": ({"kind": "camera", "poses": [POSED] * 9},)}, "9 poses, the clip 49"),
        ("7b-control-camera", {"options": {"camera_lens": [0.0, 1.0, 0.5, 0.5]}}, "focal length 0 sees nothing"),
    ],
)
def test_more_refusals(name, fields, words):
    with pytest.raises(RequestError, match=words):
        kinema.plan("a hill", model=f"easyanimate-5.1-{name}", **fields)


@pytest.mark.parametrize(
    ("kind", "change", "more", "words"),
    [
        ("t2v", {"in_channels": 33}, {}, "33 input channels"),
        ("t2v", {"text_embed_dim_t5": 2048}, {}, r"V5 \(two text encoders\)"),
        ("t2v", {"_class_name": "HunyuanTransformer3DModel"}, {}, "EasyAnimate V4 is not supported"),
        ("t2v", {"_class_name": "Transformer3DModel"}, {}, "V1 to V3"),
        ("t2v", {"num_layers": "many"}, {}, "num_layers"),
        ("inp", {"in_channels": 48}, {}, "mask of 16 channels"),
        ("control", {"in_channels": 40}, {}, "40 input channels; .* has 48 or 38"),
        ("t2v", {}, {"vae": {"_class_name": "AutoencoderKLOther"}}, "AutoencoderKLOther"),
    ],
)
def test_folders_that_are_refused(tmp_path, kind, change, more, words):
    with pytest.raises(ModelError, match=words):
        recognise(bare_folder(tmp_path / "model", NAMES[kind], published(kind, 48) | change, **more))


def test_a_damaged_folder_says_what_is_missing(saved, tmp_path):  # noqa: F811
    folder = bare_folder(tmp_path / "model", NAMES["t2v"], published("t2v", 48))
    with pytest.raises(ModelError, match="missing parts: text_encoder, tokenizer, scheduler"):
        kinema.load(str(folder), device="cpu")
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"vae/config\.json is missing"):
        recognise(folder)


# -- the autoencoder ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiles", (False, True))
@pytest.mark.parametrize("shared_norm", (False, True))
def test_slices_and_tiles_are_the_librarys(tiles, shared_norm):
    torch.manual_seed(1)
    library = tiny.autoencoder(spatial_group_norm=not shared_norm)
    small = {"tile_sample_min_height": 32, "tile_sample_min_width": 32, "tile_sample_stride_height": 24,
             "tile_sample_stride_width": 24}  # fmt: skip
    library.enable_tiling(**small)
    library.use_tiling = tiles
    vae = copy.deepcopy(library)
    autoencoder.prepare(vae, torch.device("cpu"))
    z, pixels = torch.randn(1, CHANNELS, 4, 12, 9), torch.rand(1, 3, 9, 48, 36) * 2 - 1
    with torch.no_grad():
        whole = library.decode(z / library.config.scaling_factor).sample
        mode = library.encode(pixels).latent_dist.mode()
        slices = autoencoder.decode(vae, z, tiles)
        first = next(slices)
        encoded = autoencoder.encode(vae, pixels, None, tiles)  # between two slices
        found = torch.cat([first, *slices], dim=2)
    assert first.shape[2] == 1 and found.shape == whole.shape
    assert (found - whole).abs().max() < 1e-5
    assert (encoded - mode).abs().max() < 1e-5


def test_caches_of_decoding_do_not_grow():
    """After any slice they hold two frames of each convolution, and none of the enlarged frames."""
    vae = tiny.autoencoder()
    autoencoder.prepare(vae, torch.device("cpu"))
    memory, sizes = {}, []
    with torch.no_grad():
        for _ in range(4):
            autoencoder._sliced(vae, vae.decoder, torch.randn(1, CHANNELS, 1, 4, 4), memory, (0, 0))
            sizes.append(sum(each.numel() for each in memory[0, 0] if each is not None))
    assert sizes[1:] == [sizes[1]] * 3 and 0 < sizes[0] <= sizes[1]
    assert all(module.prev_features is None for module in vae.modules() if hasattr(module, "prev_features"))


# -- sampling ----------------------------------------------------------------------------------------------------------


def test_a_resumed_run_is_identical(saved, tmp_path):  # noqa: F811
    _, folder, family = saved("t2v")
    plan = request(folder, profile="fast", steps=6)
    states: list[SamplingState] = []
    whole = np.concatenate([c.frames for c in generate(plan, family, keep=states.append, keep_every=2)])
    states[0].save(tmp_path / "state")
    again = SamplingState.read(tmp_path / "state")
    assert np.array_equal(np.concatenate([c.frames for c in generate(plan, family, state=again)]), whole)


def test_step_reuse_computes_fewer_steps(saved):  # noqa: F811
    """The engine's forecast of steps, which diffusers' pipelines lack."""
    _, folder, family = saved("t2v")
    calls = []
    handle = family.parts.transformer.proj_out.register_forward_hook(lambda *_: calls.append(1))
    plan = request(folder, steps=10)
    whole = ours(family, plan)
    full, plan = len(calls), plan.model_copy(update={"reuse": 2})
    fewer = ours(family, plan)
    handle.remove()
    assert full == 10 and len(calls) - full < 10
    assert 0 < (fewer - whole).abs().mean() < 0.2 * whole.std()


def test_previews(saved):  # noqa: F811
    _, folder, family = saved("t2v")
    seen = []
    list(generate(request(folder), family, on_event=lambda e: seen.append(e) if e.stage == "preview" else None))
    assert len(seen) == 3 and all(event.frames().shape == (1, SIDE, SIDE, 3) for event in seen)


def test_each_network_is_on_the_device_only_in_use(saved, monkeypatch):  # noqa: F811
    _, folder, family = saved("control")
    plan = request(folder)
    plain = ours(family, plan)
    held, log = [], []

    @contextmanager
    def using(self, module):
        held.append(module)
        log.append(type(module).__name__)
        assert len(held) == 1, "one at a time"
        yield module
        held.remove(module)

    monkeypatch.setattr(Residency, "using", using)
    family.prompts.clear()
    assert torch.equal(ours(family, plan), plain)
    assert set(log) == {"Qwen2VLForConditionalGeneration", "EasyAnimateTransformer3DModel"}
    chunks = family.decode(plain, plan, plan.spans[0])
    assert next(chunks).frames.shape == (1, SIDE, SIDE, 3) and log[-1] == "AutoencoderKLMagvit"
    chunks.close()


def test_large_batches_run_one_branch_at_a_time(saved, monkeypatch):  # noqa: F811
    from kinema.families.easyanimate import model

    _, folder, family = saved("t2v")
    together = ours(family, request(folder))
    monkeypatch.setattr(model, "BATCH_TOKENS", 1)
    assert (ours(family, request(folder)) - together).abs().max() < 1e-5


def test_long_clips_in_context_windows(saved, tmp_path):  # noqa: F811
    """The network sees 9 of 25 frames at once; the conditions are cut with them."""
    _, folder, family = saved("control")
    seen = []
    handle = family.parts.transformer.proj.register_forward_hook(lambda _, given, out: seen.append(given[0].shape[0]))
    conditions = ({"kind": "control", "control": "pose", "video": saved_clip(tmp_path, blocks(3, 25))},)
    windows = {"context_length": 9, "context_overlap": 4}
    made = ours(family, request(folder, frames=25, conditions=conditions, options=windows))
    handle.remove()
    assert set(seen) == {2 * 5} and made.shape[2] == 13 and bool(made.isfinite().all())


def test_samplers_by_name(saved):  # noqa: F811
    """Euler on the checkpoint's own noise levels is the checkpoint's scheduler."""
    _, folder, family = saved("t2v")
    plain = ours(family, request(folder))
    assert (ours(family, request(folder, options={"sampler": "euler"})) - plain).abs().max() < 1e-4
    other = ours(family, request(folder, options={"sampler": "dpmpp_2m", "schedule": "beta"}))
    assert bool(other.isfinite().all()) and (other - plain).abs().mean() > 1e-3


def test_a_clip_is_edited_in_place(saved, tmp_path):  # noqa: F811
    """Pixels outside the mask are the clip's own."""
    _, folder, _ = saved("inp")
    clip = blocks(5)
    conditions = (
        {"kind": "source", "video": saved_clip(tmp_path, clip)}, {"kind": "mask", "boxes": [[0.5, 0.5, 1, 1]]},
    )  # fmt: skip
    plan = request(folder, canvas="source", frames=None, conditions=conditions)
    made = kinema.load(str(folder), device="cpu").generate(plan).frames()
    assert made.shape == clip.shape
    assert np.array_equal(made[:, :8, :8], clip[:, :8, :8])
    assert np.abs(made[:, 20:, 20:].astype(int) - clip[:, 20:, 20:]).mean() > 5


# -- adapters ----------------------------------------------------------------------------------------------------------


def test_a_lora_is_its_merged_weights(saved, tmp_path):  # noqa: F811
    """diffusers' classes load no LoRA for this family; the reference is its pipeline with the product added."""
    from safetensors.torch import save_file

    pipe, folder, family = saved("t2v")
    torch.manual_seed(2)
    names = ("attn1.to_q", "attn1.to_k", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")
    layers = [f"transformer_blocks.{block}.{name}" for block in (0, 2) for name in names]
    layers += [f"transformer_blocks.0.{name}" for name in ("attn1.add_v_proj", "txt_ff.net.2")] + ["text_proj.1"]
    state, merged = {}, copy.deepcopy(pipe.transformer)
    for layer in layers:
        weight = merged.get_submodule(layer).weight
        down, up = torch.randn(4, weight.shape[1]), torch.randn(weight.shape[0], 4) * 0.05
        state |= {f"transformer.{layer}.lora_A.weight": down, f"transformer.{layer}.lora_B.weight": up}
        with torch.no_grad():
            weight += 0.5 * up @ down
    save_file(state, tmp_path / "lora.safetensors")
    style = {"kind": "style", "adapter": str(tmp_path / "lora.safetensors"), "weight": 0.5}
    plain, plan = request(folder), request(folder, conditions=(style,))
    before, made = ours(family, plain), ours(family, plan)
    assert torch.equal(ours(family, plain), before), "removed without a trace"
    own, pipe.transformer = pipe.transformer, merged
    try:
        theirs = pipe(**common(plan), latents=start(plan), output_type="latent").frames
    finally:
        pipe.transformer = own
    assert (made - theirs).abs().max() < 1e-4 and (made - before).abs().mean() > 1e-3
    assert made.shape == (1, CHANNELS, (FRAMES + 1) // 2, SIDE // 4, SIDE // 4)


@pytest.mark.parametrize("names", ("transformer", "text_encoder"))
def test_a_network_larger_than_the_device_moves_block_by_block(saved, monkeypatch, names):  # noqa: F811
    """Each block is copied once a call, in order; the result is the same, and nothing stays there."""
    _, folder, family = saved("t2v")
    plan = request(folder)
    family.prompts.clear()
    plain = ours(family, plan)
    network = getattr(family.parts, names)
    blocks = list(family.residency.blocks[network])
    hooks = [len(block._forward_hooks) for block in blocks]
    log: list[int] = []
    copy = BlockMover._copy
    monkeypatch.setattr(BlockMover, "_copy", lambda mover, index: (log.append(index), copy(mover, index)))
    small = Residency(family.device, [], staged=True, blocks={network: blocks}, most=1.0)
    monkeypatch.setattr(family, "residency", small)
    family.prompts.clear()
    assert torch.equal(ours(family, plan), plain)
    calls = 3 if names == "transformer" else 2  # steps, with both branches as a batch; prompts
    assert log == [*calls * list(range(len(blocks))), 0], "and the first one for a call that does not come"
    small.release()
    assert [len(block._forward_hooks) for block in blocks] == hooks
