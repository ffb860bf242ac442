"""Tora's checkpoints as its authors publish them, in SAT's layout, as a folder in diffusers' layout.

    SAT (after `model.diffusion_model.`)                    diffusers
    transformer.layers.{i}.attention.query_key_value        transformer_blocks.{i}.attn1.to_q, to_k, to_v
    mixins.adaln_layer.adaLN_modulations.{i}.1              transformer_blocks.{i}.norm1.linear, norm2.linear
    mixins.adaln_layer.fuser_list.{i}.*                     fuser.{i}.*
    traj_extractor.*                                        traj_extractor.*

A checkpoint holds the transformer; the autoencoder, the text encoder, its tokenizer and the scheduler are those of the
CogVideoX model that it was trained on, which the caller names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ....core.errors import ModelError
from ....core.whole import hidden, move_file, put
from ....weights.configs import Config
from ....weights.headers import tensors
from .cards import PIPELINES, TRANSFORMER
from .checkpoint import CONV_IN, build, check, config_of
from .motion_map import SIGMA_PX

PREFIX = "model.diffusion_model."
OTHERS = ("first_stage_model.", "conditioner.", "denoiser.", "loss_fn.")
"""Parts that a training checkpoint may hold besides; they are those of the base model."""
COMPUTED = ("mixins.pos_embed.freqs_sin", "mixins.pos_embed.freqs_cos", "transformer.position_embeddings.weight",
            "transformer.word_embeddings.weight")  # fmt: skip
"""Tensors that diffusers computes, or that SAT never uses."""
SHARD_BYTES = 5 * 10**9
NAMES = {
    "norm1.norm": "transformer.layers.{i}.input_layernorm",
    "norm2.norm": "transformer.layers.{i}.post_attention_layernorm",
    "attn1.to_out.0": "transformer.layers.{i}.attention.dense",
    "ff.net.0.proj": "transformer.layers.{i}.mlp.dense_h_to_4h",
    "ff.net.2": "transformer.layers.{i}.mlp.dense_4h_to_h",
    "attn1.norm_q": "mixins.adaln_layer.query_layernorm_list.{i}",
    "attn1.norm_k": "mixins.adaln_layer.key_layernorm_list.{i}",
}
"""Layers of a block, by their names in diffusers."""
OUTER = {
    "patch_embed.proj": "mixins.patch_embed.proj",
    "patch_embed.text_proj": "mixins.patch_embed.text_proj",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "norm_final": "transformer.final_layernorm",
    "norm_out.norm": "mixins.final_layer.norm_final",
    "norm_out.linear": "mixins.final_layer.adaLN_modulation.1",
    "proj_out": "mixins.final_layer.linear",
}
QKV = {"attn1.to_q": (0,), "attn1.to_k": (1,), "attn1.to_v": (2,)}
MODULATION = {"norm1.linear": (0, 1, 2, 6, 7, 8), "norm2.linear": (3, 4, 5, 9, 10, 11)}
"""Parts of SAT's joint layers, in thirds and in twelfths: shift, scale and gate of attention and then of the
feed-forward, first for video and then for text."""
BLOCK = re.compile(r"transformer_blocks\.(\d+)\.(.+)\.(weight|bias)")


@dataclass(frozen=True)
class SatTensor:
    """Where a tensor of diffusers comes from: a tensor of SAT, or some of `count` equal parts of its first axis."""

    name: str
    parts: tuple[int, ...] = ()
    count: int = 1

    def of(self, whole: torch.Tensor) -> torch.Tensor:
        if not self.parts:
            return whole
        pieces = whole.chunk(self.count)
        return torch.cat([pieces[index] for index in self.parts])

    def shape(self, part: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of SAT's tensor, from that of diffusers' tensor."""
        return (part[0] * self.count // len(self.parts), *part[1:]) if self.parts else part


def origin(name: str) -> SatTensor:
    """Where a tensor comes from. name: in diffusers. ModelError for one that no Tora checkpoint has."""
    if name.startswith("fuser."):
        return SatTensor(f"mixins.adaln_layer.fuser_list.{name.removeprefix('fuser.')}")
    if name.startswith("traj_extractor."):
        return SatTensor(name)
    if name == "patch_embed.pos_embedding":
        return SatTensor("mixins.pos_embed.pos_embedding")
    if match := BLOCK.fullmatch(name):
        number, layer, kind = match.groups()
        if layer in NAMES:
            return SatTensor(f"{NAMES[layer].format(i=number)}.{kind}")
        if layer in QKV:
            return SatTensor(f"transformer.layers.{number}.attention.query_key_value.{kind}", QKV[layer], 3)
        if layer in MODULATION:
            whole = f"mixins.adaln_layer.adaLN_modulations.{number}.1.{kind}"
            return SatTensor(whole, MODULATION[layer], 12)
    layer, _, kind = name.rpartition(".")
    if layer in OUTER:
        return SatTensor(f"{OUTER[layer]}.{kind}")
    raise ModelError(f"{name}: Tora's SAT checkpoints have no such tensor; the base model is of another kind.")


def read_header(file: Path) -> dict[str, str]:
    """The names of a checkpoint's tensors, by their names without the prefix. ModelError if none is of SAT's
    transformer, or if it has no parts of Tora."""
    found = {}
    for name in tensors(file):
        plain = name.removeprefix("module.")
        if plain.startswith(PREFIX):
            found[plain.removeprefix(PREFIX)] = name
        elif not plain.startswith(OTHERS):
            raise ModelError(f"{file}: not a checkpoint of Tora in SAT's layout: unknown tensor {name[:120]}.")
    if CONV_IN not in found:
        raise ModelError(f"{file}: not a checkpoint of Tora in SAT's layout: {PREFIX}{CONV_IN} is missing.")
    return found


def origins(transformer: Mapping[str, Any], file: Path) -> dict[str, SatTensor]:
    """For every tensor of the folder's transformer, its origin in a SAT file (safetensors). transformer: the base
    model's configuration. ModelError names tensors that are missing, unknown, or of a wrong shape."""
    names, shapes = read_header(file), tensors(file)
    with torch.device("meta"):
        parts = [_network(transformer), build(transformer, {CONV_IN: shapes[names[CONV_IN]]}, str(file))]
    wanted = {name: tuple(each.shape) for part in parts for name, each in part.state_dict().items()}
    found = {name: origin(name) for name in wanted}
    expected = {each.name: each.shape(wanted[name]) for name, each in found.items()}
    given = {name: shapes[full] for name, full in names.items() if name not in COMPUTED}
    check(given, expected, f"{file} (in SAT's layout, without {PREFIX})")
    return {name: each for name, each in found.items() if each.name in names}


def _network(config: Mapping[str, Any]) -> Any:
    from diffusers import CogVideoXTransformer3DModel

    return CogVideoXTransformer3DModel.from_config(dict(config))


def assemble(file: Path, base: Path, target: Path, variant: str) -> int:
    """Write a folder in the layout of Tora's diffusers weights; return the number of its transformer's tensors.

    file: a SAT checkpoint as safetensors. base: the folder of the CogVideoX model, in diffusers' layout, whose other
    parts are linked or copied. variant: t2v or i2v, of the base. The tensors keep their dtype. ModelError if the two do
    not fit, or the folder cannot be written; then nothing remains of it.
    """
    config = Config.read(base / "transformer" / "config.json").values
    if config.get("patch_size_t"):
        raise ModelError(f"{base}: Tora's SAT checkpoints are of CogVideoX 1.0, not 1.5.")
    table, names = origins(config, file), read_header(file)
    made = hidden(target)
    try:
        made.mkdir()
        for each in sorted(base.iterdir()):
            if each.is_dir() and each.name != "transformer":
                shutil.copytree(each, made / each.name, copy_function=_linked)
            elif each.suffix == ".json" and each.name != "model_index.json":
                _linked(str(each), str(made / each.name))
        (made / "transformer").mkdir()
        _write_json(made / "transformer" / "config.json", config_of(config, SIGMA_PX))
        index = dict(Config.read(base / "model_index.json").values)
        kind = next(name for name, each in PIPELINES.items() if each == variant)
        index |= {"_class_name": kind, "transformer": ["tora.transformer_3d", TRANSFORMER]}
        _write_json(made / "model_index.json", index)
        write_shards(made / "transformer", sorted(table), reader(file, table, names))
        put(made, target)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return len(table)


def reader(file: Path, table: Mapping[str, SatTensor], names: Mapping[str, str]) -> Callable[[str], torch.Tensor]:
    """A function that reads a tensor of diffusers from a SAT file."""
    from safetensors import safe_open

    opened = safe_open(file, framework="pt").__enter__()

    def read(name: str) -> torch.Tensor:
        return table[name].of(opened.get_tensor(names[table[name].name])).contiguous()

    return read


def write_shards(folder: Path, names: Iterable[str], read: Callable[[str], torch.Tensor]) -> None:
    """Write a network's tensors, as one file or as several with an index; holds one file's tensors in memory."""
    from safetensors.torch import save_file

    stem = "diffusion_pytorch_model"
    files: list[tuple[Path, list[str]]] = []
    total = size = 0
    held: dict[str, torch.Tensor] = {}

    def flush() -> None:
        if held:
            files.append((folder / f"{stem}-{len(files) + 1:05d}.safetensors", list(held)))
            save_file(held, files[-1][0], {"format": "pt"})
            held.clear()

    for name in names:
        each = read(name)
        weight = each.numel() * each.element_size()
        if held and size + weight > SHARD_BYTES:
            flush()
            size = 0
        held[name] = each
        size, total = size + weight, total + weight
    flush()
    if len(files) == 1:
        move_file(files[0][0], folder / f"{stem}.safetensors")
        return
    places: dict[str, str] = {}
    for number, (file, inside) in enumerate(files, start=1):
        place = folder / f"{stem}-{number:05d}-of-{len(files):05d}.safetensors"
        move_file(file, place)
        places |= dict.fromkeys(inside, place.name)
    _write_json(folder / f"{stem}.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})


def _linked(source: str, target: str) -> str:
    """Link a file, or copy it where that is not possible. A link in a cache is followed."""
    real = Path(source).resolve()
    try:
        os.link(real, target)
    except OSError:
        shutil.copyfile(real, target)
    return target


def _write_json(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
