"""V5.1 transformers as their authors publish them: full synthetic key lists, files beside a folder, whole folders."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import tiny_easyanimate as tiny
import torch
from safetensors.torch import save_file

import kinema
from kinema.core.errors import ModelError
from kinema.core.registry import built_in_cards
from kinema.engine.generate import sample
from kinema.engine.plan import plan as make_plan
from kinema.families.easyanimate import load, missing, original, recognise

CHANNELS = {"t2v": 16, "inp": 33, "control": 48, "camera": 38}


def published_keys(layers, own, channels, width=3072, head=64, hidden=512, text=3584):
    """Names and shapes of a transformer in the authors' layout, from the modules of their code."""
    both = {"to_q", "to_k", "to_v", "to_out.0"}
    linear = {"proj_out": (64, width), "text_proj.1": (width, text), "norm_out.linear": (2 * width, hidden)}
    linear |= {"time_embedding.linear_1": (hidden, width), "time_embedding.linear_2": (hidden, hidden)}
    norms = {"norm_final": width, "norm_out.norm": width}
    for number in range(layers):
        block = f"transformer_blocks.{number}"
        for side, feed in (("attn1", "ff"), *((("attn2", "txt_ff"),) if number < own else ())):
            linear |= {f"{block}.{side}.{name}": (width, width) for name in both}
            norms |= {f"{block}.{side}.{name}": head for name in ("norm_q", "norm_k")}
            linear |= {f"{block}.{feed}.net.0.proj": (4 * width, width), f"{block}.{feed}.net.2": (width, 4 * width)}
        for norm in ("norm1", "norm2"):
            linear[f"{block}.{norm}.linear"] = (6 * width, hidden)
            norms[f"{block}.{norm}.norm"] = width
    keys = {f"{name}.weight": shape for name, shape in linear.items()}
    keys |= {f"{name}.bias": shape[:1] for name, shape in linear.items()}
    keys |= {f"{name}.{kind}": (size,) for name, size in norms.items() for kind in ("weight", "bias")}
    return keys | {"proj.weight": (width, channels, 2, 2), "proj.bias": (width,), "text_proj.0.weight": (text,)}


@pytest.mark.parametrize(
    ("size", "layers", "own", "variant"), [("12b", 48, 48, "t2v"), *(("7b", 36, 18, name) for name in CHANNELS)]
)
def test_published_key_lists(size, layers, own, variant, monkeypatch, tmp_path):
    from diffusers import EasyAnimateTransformer3DModel

    keys = published_keys(layers, own, CHANNELS[variant])
    assert original.is_original(keys) and original.is_transformer(keys)
    with torch.device("meta"):
        network = EasyAnimateTransformer3DModel(**original.configuration(keys, "it"))
    renamed = {original.name_of(name): shape for name, shape in keys.items()}
    assert renamed == {name: tuple(each.shape) for name, each in network.state_dict().items()}
    (tmp_path / "theirs.safetensors").touch()
    monkeypatch.setattr("kinema.families.easyanimate.detect.tensors", lambda _: keys)
    found = recognise(tmp_path / "theirs.safetensors")
    card = next(each for each in built_in_cards() if each.id.startswith(f"easyanimate-5.1-{size}") and
                each.variant == variant)  # fmt: skip
    assert (found.id, found.variant, found.network, found.size) == ("theirs", variant, card.network, card.size)


# -- small models ------------------------------------------------------------------------------------------------------


def authors_name(name):
    for theirs, ours in original.TEXT_LAYERS.items():
        name = name.replace(f".attn1.{ours}.", f".attn2.{theirs}.")
    return name


def renamed(network):
    return {authors_name(name): each.contiguous() for name, each in network.state_dict().items()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A diffusers folder and the latents of a request."""
    folder = tmp_path_factory.mktemp("models") / "diffusers"
    pipe = tiny.pipeline("camera")
    pipe.save_pretrained(folder)
    return pipe, folder, latents(folder)


def latents(location):
    plan = make_plan(kinema.Request(
        model=str(location), prompt=tiny.PROMPT, negative_prompt="", seed=1, steps=2, guidance=3.0, profile="exact",
        frames=5, width=32, height=32, conditions=({"kind": "camera", "move": "pan_left"},),
    ), device="cpu")  # fmt: skip
    family = load(recognise(location), location, "cpu")
    found = sample(plan, family, family.encode(plan, family.prepare(plan)), plan.spans[0])
    return found, torch.cat(list(family.decode_pixels(found, plan)))


def same(found, wanted):
    return all(torch.equal(one, other) for one, other in zip(found, wanted))


@pytest.mark.parametrize("place", ("beside", "below"))
def test_a_file_with_the_parts_of_a_folder(saved, tmp_path, place):
    pipe, folder, wanted = saved
    base = tmp_path / "parts"
    for part in original.FOLDERS:
        shutil.copytree(folder / part, base / part)
    file = (tmp_path if place == "beside" else base / "transformer") / "their-camera.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_file(renamed(pipe.transformer), file)
    assert recognise(file).variant == "camera" and not missing(file)
    assert same(latents(file), wanted)
    family = load(recognise(file), file, "cpu")
    assert {each.parent.name for each in family.weight_files(None)} == {"vae", "text_encoder"}


def authors_folder(saved, place, index=None):
    """The authors' folder: two files, other fields in its configurations."""
    pipe, folder, _ = saved
    for part in ("text_encoder", "tokenizer", "scheduler"):
        shutil.copytree(folder / part, place / part)
    state = renamed(pipe.transformer)
    half = len(state) // 2
    (place / "transformer").mkdir(parents=True)
    for number, names in enumerate((list(state)[:half], list(state)[half:]), 1):
        file = place / "transformer" / f"diffusion_pytorch_model-{number:05d}-of-00002.safetensors"
        save_file({name: state[name] for name in names}, file)
    more = {"swa_layers": None, "clip_channels": None, "enable_clip_in_inpaint": False}
    write(place / "transformer" / "config.json", {**pipe.transformer.config, **more})
    shutil.copytree(folder / "vae", place / "vae")
    vae = json.loads((folder / "vae" / "config.json").read_text())
    vae |= {"down_block_types": str(tuple(vae["down_block_types"])), "mid_block_type": "MidBlock3D", "ch": 128}
    write(place / "vae" / "config.json", vae | {"slice_mag_vae": False, "cache_mag_vae": True})
    if index is not None:
        write(place / "model_index.json", {"_class_name": index, "scheduler": ["diffusers",
                                           "FlowMatchEulerDiscreteScheduler"]})  # fmt: skip
    return place


def write(file, values):
    file.write_text(json.dumps({key: value for key, value in values.items() if not str(key).startswith("_name")}))


@pytest.mark.parametrize("index", (None, "EasyAnimatePipeline", "EasyAnimatePipeline_Multi_Text_Encoder"))
def test_the_authors_folder(saved, tmp_path, index):
    place = authors_folder(saved, tmp_path / "EasyAnimateV5.1-tiny", index)
    assert recognise(place).variant == "camera"
    if index is None:
        assert same(latents(place), saved[2])


def test_refused_files(saved, tmp_path):
    pipe, folder, _ = saved
    for part in original.FOLDERS:
        shutil.copytree(folder / part, tmp_path / part)
    file, whole = tmp_path / "file.safetensors", renamed(pipe.transformer)

    def written(**changes):
        state = {name: each for name, each in (whole | changes).items() if each is not None}
        save_file(state, file)
        return file

    with pytest.raises(ModelError, match=r"V5 \(two text encoders\) is not supported"):
        recognise(written(**{"text_proj_t5.1.weight": torch.ones(2, 2)}))
    with pytest.raises(ModelError, match=r"15 input channels; .* has 4, 9, 12, 14"):
        recognise(written(**{"proj.weight": torch.ones(32, 15, 2, 2)}))
    with pytest.raises(ModelError, match=r"blocks must be numbered"):
        recognise(written(**{"transformer_blocks.9.attn1.to_q.weight": torch.ones(2, 2)}))
    for name in ("transformer_blocks.1.attn2.norm_k.bias", "norm_final.weight"):
        with pytest.raises(ModelError, match=re.escape(original.name_of(name)) + " is missing"):
            load(recognise(written(**{name: None})), file, "cpu")
    with pytest.raises(ModelError, match=r"long_connect_fc\.0\.weight is not a part"):
        load(recognise(written(**{"long_connect_fc.0.weight": torch.ones(2, 2)})), file, "cpu")
    alone = tmp_path / "elsewhere" / "further" / "file.safetensors"
    alone.parent.mkdir(parents=True)
    shutil.copy(written(), alone)
    assert "other parts (vae, text_encoder, tokenizer, scheduler" in missing(alone)[0]
    with pytest.raises(ModelError, match="requires a folder with the model's other parts"):
        load(recognise(alone), alone, "cpu")
