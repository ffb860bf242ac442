"""Transformers of EasyAnimate's versions 1 to 3 as published: the names of their tensors, as far as they are known.

The names are those of this package: PixArt's for blocks, AnimateDiff's in motion modules, `attn_temporal` for the
module of a block, `long_connect_fc` for skips. Tables of positions are stored too; here they are computed. The last
layer of a model that also predicts variances has twice the channels; only the first half of them is used. Other tensors
are refused by name. Numbers of heads and the form of the motion modules are in no tensor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ....core.errors import ModelError
from .motion_module import Form
from .transformer import FREQUENCIES, PaperTransformer

TABLES = re.compile(r"(^pos_embed\.pos_embed|\.pos_encoder\.pe)$")
LAYER = re.compile(r"^transformer_blocks\.(\d+)\.")
UNKNOWN_SHOWN = 4
KNOWN_UNSUPPORTED = {
    "emb.resolution_embedder": "size conditions", "emb.aspect_ratio_embedder": "size conditions",
    "global_transformer": "a global transformer beside the motion module", "unpatch1d": "patches over time",
    "t_pos": "positions in time before the blocks", "norm_q": "normalised queries",
}  # fmt: skip


def read(
    state: Mapping[str, Tensor], *, heads: int, motion_heads: int, form: Form, sample_size: int
) -> PaperTransformer:  # fmt: skip
    """A transformer with the weights of a published file. sample_size: cells of latents in height and width of the
    training. ModelError for missing or unknown tensors, or tensors of another shape; it names them."""
    kept = {name: value for name, value in state.items() if not TABLES.search(name)}
    for part, what in KNOWN_UNSUPPORTED.items():
        found = next((name for name in kept if part in name), None)
        if found:
            raise ModelError(f"{found}: {what} are not supported; the paper's transformer without them is.")
    config = _config(kept)
    transformer = PaperTransformer(
        **config, num_attention_heads=heads, attention_head_dim=config_width(kept) // heads, motion_heads=motion_heads,
        motion=form if any(".attn_temporal." in name for name in kept) else None, sample_size=sample_size,
    )  # fmt: skip
    own = transformer.state_dict()
    for wrong, text in ((kept.keys() - own.keys(), "unknown"), (own.keys() - kept.keys(), "missing")):
        if wrong:
            names = sorted(wrong)
            more = f" and {len(names) - UNKNOWN_SHOWN} more" if len(names) > UNKNOWN_SHOWN else ""
            raise ModelError(f"{text} tensors: {', '.join(names[:UNKNOWN_SHOWN])}{more}.")
    for name in ("proj_out.weight", "proj_out.bias"):
        kept[name] = _means(kept[name], own[name], config["patch_size"])
    for name, value in kept.items():
        if value.shape != own[name].shape:
            raise ModelError(f"{name}: shape {tuple(value.shape)}, expected {tuple(own[name].shape)}.")
    transformer.load_state_dict(kept)
    return transformer


def config_width(state: Mapping[str, Tensor]) -> int:
    return int(_of(state, "pos_embed.proj.weight", 4).shape[0])


def _config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    entry, width = _of(state, "pos_embed.proj.weight", 4), config_width(state)
    layers = 1 + max((int(found[1]) for name in state if (found := LAYER.match(name))), default=-1)
    module = "transformer_blocks.0.attn_temporal.temporal_transformer."
    blocks = {name.split(".")[5] for name in state if name.startswith(module + "transformer_blocks.")}
    gate = f"{module}transformer_blocks.0.ff.net.0.proj.weight"
    entering = int(entry.shape[1])
    if _of(state, "adaln_single.emb.timestep_embedder.linear_1.weight", 2).shape[1] != FREQUENCIES:
        raise ModelError(f"adaln_single.emb.timestep_embedder.linear_1.weight: expected {FREQUENCIES} inputs.")
    return {
        "num_layers": layers, "patch_size": int(entry.shape[-1]), "image_input": bool(entering % 2),
        "latent_channels": (entering - 1) // 2 if entering % 2 else entering,
        "caption_channels": int(_of(state, "caption_projection.linear_1.weight", 2).shape[1]),
        "ff_ratio": _of(state, "transformer_blocks.0.ff.net.0.proj.weight", 2).shape[0] / width,
        "motion_blocks": max(1, len(blocks)),
        "motion_ratio": _of(state, gate, 2).shape[0] / (2 * width) if gate in state else 4.0,
        "motion_groups": 32 if width % 32 == 0 else 4, "skips": "long_connect_fc.0.weight" in state,
    }  # fmt: skip


def _of(state: Mapping[str, Tensor], name: str, rank: int) -> Tensor:
    if name not in state or state[name].ndim != rank:
        raise ModelError(f"{name}: missing, or not of {rank} dimensions.")
    return state[name]


def _means(value: Tensor, own: Tensor, patch: int) -> Tensor:
    """Rows of the last layer for the mean, from those for mean and variance of each of patch * patch cells."""
    if len(value) != 2 * len(own):
        return value
    return torch.cat([rows.chunk(2)[0] for rows in value.chunk(patch**2)])
