"""Transformers of V5.1 as their authors publish them (no torch): one file, or a folder whose other parts lie beside it.

    EasyAnimateV5.1-7b-zh/transformer/*.safetensors           the authors' folder, with vae, text_encoder, tokenizer and
                                                              scheduler
    models/EasyAnimateV5.1-7b-zh.safetensors                  a file; the other parts are those of its folder, of the
                                                              folder above, or of a model's folder next to it

A block with weights for the text calls them `attn2.to_q` where diffusers calls them `attn1.add_q_proj`; everything
else has the same name, in the autoencoder too. Files with diffusers' names are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import ModelError
from ...weights.headers import tensors

Shapes = Mapping[str, tuple[int, ...]]
TEXT_LAYERS = {
    "to_q": "add_q_proj", "to_k": "add_k_proj", "to_v": "add_v_proj", "to_out.0": "to_add_out",
    "norm_q": "norm_added_q", "norm_k": "norm_added_k",
}  # fmt: skip
TEXT_LAYER = re.compile(r"(transformer_blocks\.\d+)\.attn2\.(.+)\.(weight|bias)")
SIGNS = (
    "proj.weight", "proj_out.weight", "time_embedding.linear_1.weight", "transformer_blocks.0.norm1.linear.weight",
    "transformer_blocks.0.attn1.to_q.weight",
)  # fmt: skip
"""Tensors of every transformer from V5 on."""
OTHERS = {
    "text_proj_t5.": "EasyAnimate V5 (two text encoders)",
    "ref_proj.": "EasyAnimate V5 (a reference picture as tokens)",
    "clip_proj.": "EasyAnimate V5 (a reference picture through CLIP)",
}
BLOCK = re.compile(r"transformer_blocks\.(\d+)\.")
FOLDERS = ("vae", "text_encoder", "tokenizer", "scheduler")
MAX_LAYERS = 256


def name_of(name: str) -> str:
    """The name in diffusers of a tensor of the authors' layout; names of diffusers stay."""
    if (match := TEXT_LAYER.fullmatch(name)) and match[2] in TEXT_LAYERS:
        return f"{match[1]}.attn1.{TEXT_LAYERS[match[2]]}.{match[3]}"
    return name


def is_original(names: Collection[str]) -> bool:
    """Whether the names are of the authors' layout."""
    return any(TEXT_LAYER.fullmatch(name) for name in names)


def shapes_of(files: Collection[Path]) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in files, by name."""
    return {name: shape for file in files for name, shape in tensors(file).items()}


def weight_files(folder: Path) -> list[Path]:
    """The files of a network's folder."""
    return sorted(folder.glob("*.safetensors"))


def is_transformer(names: Collection[str]) -> bool:
    return all(sign in names for sign in SIGNS)


def configuration(shapes: Shapes, what: str) -> dict[str, Any]:
    """The configuration of diffusers' transformer, from the shapes of its tensors. ModelError, beginning with `what`,
    for a transformer of an earlier version, or a missing tensor."""
    for start, model in OTHERS.items():
        if any(name.startswith(start) for name in shapes):
            raise ModelError(f"{what}: {model} is not supported; V5.1 is.")
    named = {name_of(name): shape for name, shape in shapes.items()}

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        found = named.get(name)
        if found is None or len(found) != dimensions or 0 in found:
            raise ModelError(f"{what}: {name} {'is missing' if found is None else f'has the shape {list(found)}'}.")
        return found

    width, channels, patch, _ = shape("proj.weight", 4)
    head = shape("transformer_blocks.0.attn1.norm_q.weight", 1)[0]
    normed = "text_proj.0.weight" in named
    numbers = {int(match[1]) for name in named if (match := BLOCK.match(name)) and len(match[1]) < 4}
    if numbers != set(range(len(numbers))) or len(numbers) > MAX_LAYERS:
        raise ModelError(f"{what}: its transformer_blocks must be numbered 0, 1, 2, ... up to {MAX_LAYERS}.")
    if width % head:
        raise ModelError(f"{what}: a width of {width} is no multiple of the heads' size, {head}.")
    return {
        "num_attention_heads": width // head, "attention_head_dim": head, "in_channels": channels,
        "out_channels": shape("proj_out.weight", 2)[0] // patch**2, "patch_size": patch, "num_layers": len(numbers),
        "mmdit_layers": sum(f"transformer_blocks.{n}.attn1.add_q_proj.weight" in named for n in numbers),
        "time_embed_dim": shape("time_embedding.linear_1.weight", 2)[0], "add_norm_text_encoder": normed,
        "text_embed_dim": shape("text_proj.1.weight" if normed else "text_proj.weight", 2)[1],
        "after_norm": "transformer_blocks.0.norm3.weight" in named,
    }  # fmt: skip


def base_of(file: Path) -> Path | None:
    """The folder with the other parts of a single file's model: its own, the one above, or one next to it."""
    near = [file.parent, file.parent.parent]
    beside = sorted(each for each in file.parent.iterdir() if each.is_dir()) if file.parent.is_dir() else []
    return next((each for each in [*near, *beside] if all((each / part).is_dir() for part in FOLDERS)), None)


def missing(location: Path) -> list[str]:
    """What a single file lacks, with the searched folders; empty for a folder."""
    if location.is_dir() or base_of(location) is not None:
        return []
    parts = ", ".join(FOLDERS)
    return [f"a folder with the model's other parts ({parts}; searched {location.parent}, the one above, and its own)"]
