"""Tora's SAT checkpoints: every key of the published layout, and the way from diffusers' names to SAT's and back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from kinema.cli.models import app
from kinema.core.errors import ModelError
from kinema.families.cogvideox import load, recognise
from kinema.families.cogvideox.tora import sat
from kinema.families.cogvideox.tora.networks import MotionGuidance
from kinema.weights import assemble as assembling
from kinema.weights.assemble import assemble

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny_cogvideox as tiny

CHANNELS = 8
PUBLISHED = {
    "num_attention_heads": 48, "attention_head_dim": 64, "in_channels": 16, "out_channels": 16, "num_layers": 42,
    "patch_size": 2, "text_embed_dim": 4096, "time_embed_dim": 512, "sample_width": 90, "sample_height": 60,
    "sample_frames": 49, "max_text_seq_length": 226, "use_rotary_positional_embeddings": True,
}  # fmt: skip


def published_shapes(image: bool):
    """The tensors of the authors' networks as their code builds them: Tora on CogVideoX-5b, 42 layers."""
    width, inner, time, text = 3072, 12288, 512, 4096

    def both(name, *shape):
        return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}

    found = {
        **both("mixins.patch_embed.proj", width, 32 if image else 16, 2, 2),
        **both("mixins.patch_embed.text_proj", width, text),
        **both("time_embed.0", time, width), **both("time_embed.2", time, time),
        **both("transformer.final_layernorm", width), **both("mixins.final_layer.norm_final", width),
        **both("mixins.final_layer.linear", 64, width),
        **both("mixins.final_layer.adaLN_modulation.1", 2 * width, time),
        **both("traj_extractor.conv_in", 128, 64, 3, 3),
        "transformer.position_embeddings.weight": (64, width),
        "mixins.pos_embed.freqs_sin": (17550, 64), "mixins.pos_embed.freqs_cos": (17550, 64),
    }  # fmt: skip
    if image:
        found["mixins.pos_embed.pos_embedding"] = (1, 17550 + 226, width)
    for i in range(42):
        layer, adaln = f"transformer.layers.{i}", "mixins.adaln_layer"
        found |= both(f"{layer}.input_layernorm", width) | both(f"{layer}.post_attention_layernorm", width)
        found |= both(f"{layer}.attention.query_key_value", 3 * width, width)
        found |= both(f"{layer}.attention.dense", width, width)
        found |= both(f"{layer}.mlp.dense_h_to_4h", inner, width) | both(f"{layer}.mlp.dense_4h_to_h", width, inner)
        found |= both(f"{adaln}.adaLN_modulations.{i}.1", 12 * width, time)
        found |= both(f"{adaln}.query_layernorm_list.{i}", 64) | both(f"{adaln}.key_layernorm_list.{i}", 64)
        for kind in ("gamma", "beta"):
            fuser = f"{adaln}.fuser_list.{i}.flow_{kind}"
            found |= both(f"{fuser}_spatial", 768, 128, 3, 3) | both(f"{fuser}_temporal", width, 768, 3)
        found |= both(f"{adaln}.fuser_list.{i}.flow_cond_norm", width)
    for n in range(84):
        body = f"traj_extractor.body.{n}"
        found |= both(f"{body}.block1", 128, 128, 3, 3) | both(f"{body}.block2", 128, 128, 3, 3)
        for norm in ("bn1", "bn2"):
            found |= both(f"{body}.{norm}", 128)
            found |= {f"{body}.{norm}.running_mean": (128,), f"{body}.{norm}.running_var": (128,)}
            found[f"{body}.{norm}.num_batches_tracked"] = ()
    return found


@pytest.mark.parametrize("image", [False, True])
def test_every_tensor_of_the_published_layout_has_its_place(image, monkeypatch):
    """Names and shapes of the full model, without memory for it."""
    shapes = {sat.PREFIX + name: shape for name, shape in published_shapes(image).items()}
    monkeypatch.setattr(sat, "tensors", lambda file: shapes)
    config = PUBLISHED | ({"in_channels": 32, "use_learned_positional_embeddings": True} if image else {})
    table = sat.origins(config, Path("mp_rank_00_model_states.safetensors"))
    used = {each.name for each in table.values()}
    assert used == set(published_shapes(image)) - set(sat.COMPUTED)
    with torch.device("meta"):
        parts = [sat._network(config), MotionGuidance.of(config)]
    assert set(table) == {name for part in parts for name in part.state_dict()}


def to_sat(state):
    """The names and joint layers of SAT, from diffusers' (written apart from the code under test)."""
    found, left = {}, dict(state)
    for name in list(state):
        if name.startswith("fuser."):
            found[f"mixins.adaln_layer.{name.replace('fuser.', 'fuser_list.')}"] = left.pop(name)
        elif name.startswith("traj_extractor."):
            found[name] = left.pop(name)
    number = 0
    while f"transformer_blocks.{number}.norm1.norm.weight" in left:
        block, layer = f"transformer_blocks.{number}", f"transformer.layers.{number}"
        for kind in ("weight", "bias"):
            take = lambda name, block=block, kind=kind: left.pop(f"{block}.{name}.{kind}")  # noqa: E731
            found[f"{layer}.input_layernorm.{kind}"] = take("norm1.norm")
            found[f"{layer}.post_attention_layernorm.{kind}"] = take("norm2.norm")
            found[f"{layer}.attention.query_key_value.{kind}"] = torch.cat([take(f"attn1.to_{x}") for x in "qkv"])
            found[f"{layer}.attention.dense.{kind}"] = take("attn1.to_out.0")
            found[f"{layer}.mlp.dense_h_to_4h.{kind}"] = take("ff.net.0.proj")
            found[f"{layer}.mlp.dense_4h_to_h.{kind}"] = take("ff.net.2")
            one, two = take("norm1.linear").chunk(2), take("norm2.linear").chunk(2)  # (video, text) each
            found[f"mixins.adaln_layer.adaLN_modulations.{number}.1.{kind}"] = torch.cat(
                [one[0], two[0], one[1], two[1]]
            )
            found[f"mixins.adaln_layer.query_layernorm_list.{number}.{kind}"] = take("attn1.norm_q")
            found[f"mixins.adaln_layer.key_layernorm_list.{number}.{kind}"] = take("attn1.norm_k")
        number += 1
    names = {
        "patch_embed.proj": "mixins.patch_embed.proj", "patch_embed.text_proj": "mixins.patch_embed.text_proj",
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "norm_final": "transformer.final_layernorm", "norm_out.norm": "mixins.final_layer.norm_final",
        "norm_out.linear": "mixins.final_layer.adaLN_modulation.1", "proj_out": "mixins.final_layer.linear",
    }  # fmt: skip
    for ours, theirs in names.items():
        found |= {f"{theirs}.{kind}": left.pop(f"{ours}.{kind}") for kind in ("weight", "bias")}
    if "patch_embed.pos_embedding" in left:
        found["mixins.pos_embed.pos_embedding"] = left.pop("patch_embed.pos_embedding")
    assert left == {}
    computed = {"mixins.pos_embed.freqs_sin": torch.zeros(4, 4), "mixins.pos_embed.freqs_cos": torch.zeros(4, 4),
                "transformer.position_embeddings.weight": torch.zeros(2, 2)}  # fmt: skip
    return {sat.PREFIX + name: each.contiguous() for name, each in (found | computed).items()}


def checkpoint(layout, folder):
    """(base folder, diffusers state, SAT state) of a tiny model with random parts of Tora."""
    pipe = tiny.pipeline(layout)
    base = folder / "base"
    pipe.save_pretrained(base)
    torch.manual_seed(5)
    guidance = MotionGuidance.of(dict(pipe.transformer.config), CHANNELS)
    for each in guidance.parameters():
        torch.nn.init.normal_(each)
    state = {**pipe.transformer.state_dict(), **guidance.state_dict()}
    state = {name: (each + 0.01 * torch.randn_like(each)).float() if each.is_floating_point() else each
             for name, each in state.items()}  # fmt: skip
    return base, state, to_sat(state)


@pytest.mark.parametrize(("layout", "kind"), [("5b", "ToraPipeline"), ("5b-i2v", "ToraImageToVideoPipeline")])
def test_a_checkpoint_comes_back_as_it_was(layout, kind, tmp_path):
    base, state, original = checkpoint(layout, tmp_path)
    file, target = tmp_path / "mp_rank_00_model_states.pt", tmp_path / "tora"
    torch.save({"module": original, "iteration": 7}, file)
    run = CliRunner().invoke(app, ["convert", str(file), str(target), "--base", str(base), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.output) == {"path": str(target), "tensors": len(state)}
    found = load_file(target / "transformer" / "diffusion_pytorch_model.safetensors")
    assert set(found) == set(state) and all(torch.equal(found[name], state[name]) for name in state)
    assert json.loads((target / "model_index.json").read_text())["_class_name"] == kind
    family = load(recognise(target), target, "cpu")
    loaded = {**family.parts.transformer.state_dict(), **family.parts.motion.guidance.state_dict()}
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert {each.name for each in tmp_path.iterdir()} == {"base", "tora", file.name}  # nothing else is left


def test_a_large_network_is_written_in_shards(tmp_path, monkeypatch):
    base, state, original = checkpoint("5b", tmp_path)
    save_file(original, tmp_path / "tora.safetensors")
    monkeypatch.setattr(sat, "SHARD_BYTES", 40_000)
    assemble(tmp_path / "tora.safetensors", str(base), tmp_path / "out")
    files = sorted((tmp_path / "out" / "transformer").glob("*.safetensors"))
    assert len(files) > 2 and files[0].name == f"diffusion_pytorch_model-00001-of-{len(files):05d}.safetensors"
    family = load(recognise(tmp_path / "out"), tmp_path / "out", "cpu")
    loaded = {**family.parts.transformer.state_dict(), **family.parts.motion.guidance.state_dict()}
    assert all(torch.equal(loaded[name], state[name]) for name in state)


FUSER = f"{sat.PREFIX}mixins.adaln_layer.fuser_list.1.flow_beta_temporal.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop(FUSER), r"the tensor mixins.adaln_layer.fuser_list.1.flow_beta_temporal.weight is missing"),
        (lambda s: s.pop(f"{sat.PREFIX}time_embed.0.bias"), r"time_embed.0.bias is missing"),
        (lambda s: s.update({f"{sat.PREFIX}fuzer.0": torch.zeros(1)}), r"the tensor fuzer.0 is not known"),
        (
            lambda s: s.update({FUSER: torch.zeros(2, 3)}),
            r"has the shape \[2, 3\], expected \[32, 8, 3\]",
        ),
        (lambda s: s.update({"model.head": torch.zeros(1)}), r"not a checkpoint of Tora .* unknown tensor model.head"),
        (lambda s: s.pop(f"{sat.PREFIX}traj_extractor.conv_in.bias"), r"traj_extractor.conv_in.bias is missing"),
    ],
)
def test_what_does_not_fit_is_named(change, words, tmp_path):
    base, _, original = checkpoint("5b", tmp_path)
    change(original)
    save_file(original, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=words):
        assemble(tmp_path / "a.safetensors", str(base), tmp_path / "out")
    assert {each.name for each in tmp_path.iterdir()} == {"base", "a.safetensors"}


def test_other_bases_and_files_are_refused(tmp_path):
    base, _, original = checkpoint("5b", tmp_path)
    save_file(original | {"first_stage_model.x": torch.zeros(1)}, tmp_path / "a.safetensors")
    assemble(tmp_path / "a.safetensors", str(base), tmp_path / "fine")
    other = tmp_path / "late"
    tiny.pipeline("1.5").save_pretrained(other)
    for model, words in ((str(other), "CogVideoX 1.0, not 1.5"), ("kinema-mini-wan", "no original checkpoint")):
        with pytest.raises(ModelError, match=words):
            assemble(tmp_path / "a.safetensors", model, tmp_path / "out")
    tiny.pipeline("5b-i2v").save_pretrained(tmp_path / "image")
    with pytest.raises(ModelError, match=r"mixins.pos_embed.pos_embedding is missing"):
        assemble(tmp_path / "a.safetensors", str(tmp_path / "image"), tmp_path / "out")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ModelError, match=r"no checkpoint. Legal suffixes are .ckpt"):
        assemble(tmp_path / "a.txt", str(base), tmp_path / "out")
    with pytest.raises(ModelError, match=r"cannot be written"):
        assemble(tmp_path / "a.safetensors", str(base), tmp_path / "no" / "such" / "folder")
    assert not (tmp_path / "out").exists() and assembling.PICKLES


def test_parts_of_the_base_are_linked_and_kept(tmp_path):
    base, _, original = checkpoint("5b", tmp_path)
    save_file(original, tmp_path / "a.safetensors")
    assemble(tmp_path / "a.safetensors", str(base), tmp_path / "out")
    for part in ("vae", "text_encoder"):
        (one,), (other,) = ((folder / part).glob("*.safetensors") for folder in (base, tmp_path / "out"))
        assert one.samefile(other)
    assert (tmp_path / "out" / "scheduler" / "scheduler_config.json").exists()
