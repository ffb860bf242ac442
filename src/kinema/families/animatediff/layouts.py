"""Convert motion modules as published by AnimateDiff's authors (`mm_sd_v15_v2`, `v3_sd15_mm`) to diffusers' adapter,
with diffusers' conversion of names.

    published  down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.to_q.weight
    diffusers  down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_q.weight

Sizes are derived from the tensors: levels and widths, modules per level, a middle block (v2 only), and, from the table
of positions, the maximum number of frames (24 in v1, 32 later). The positions themselves are sinusoids, computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...core.errors import ModelError

MARK = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"
HEADS = 8


def plain(key: str) -> str:
    """A published key without the prefixes of trainers."""
    return key.removeprefix("module.").removeprefix("unet.")


def facts(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """MotionAdapter's configuration, from a published file's names and shapes. ModelError if a level is missing."""
    own = {plain(key): shape for key, shape in shapes.items()}
    widths: list[int] = []
    while (first := f"down_blocks.{len(widths)}.motion_modules.0.temporal_transformer.proj_in.weight") in own:
        if not own[first]:
            raise ModelError(f"Not AnimateDiff motion modules: {first} is a single number.")
        widths.append(own[first][0])
    modules = 0
    while f"down_blocks.0.motion_modules.{modules}.temporal_transformer.proj_in.weight" in own:
        modules += 1
    if not widths or not modules:
        raise ModelError("Not AnimateDiff motion modules: no level has any.")
    positions = [shape[1] for key, shape in own.items() if key.endswith("pos_encoder.pe") and len(shape) == 3]
    return {
        "block_out_channels": tuple(widths),
        "motion_layers_per_block": modules,
        "motion_num_attention_heads": HEADS,
        "motion_max_seq_length": positions[0] if positions else 32,
        "use_motion_mid_block": any(key.startswith("mid_block.motion_modules.") for key in own),
    }


def adapter_from(state: Mapping[str, torch.Tensor], dtype: torch.dtype) -> Any:
    """Build a MotionAdapter from the tensors of a published file. ModelError if some are missing or unknown."""
    from diffusers import MotionAdapter
    from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers

    adapter: Any = MotionAdapter(**facts({key: tuple(tensor.shape) for key, tensor in state.items()}))
    modules = {plain(key): tensor for key, tensor in state.items() if ".motion_modules." in key}
    renamed = convert_animatediff_checkpoint_to_diffusers(modules)
    missing, unexpected = adapter.load_state_dict(renamed, strict=False)
    lost = [name for name in missing if not name.endswith("pos_embed.pe")]
    if lost or unexpected:
        raise ModelError(
            f"The motion modules do not match AnimateDiff: {(lost or unexpected)[0]} is "
            f"{'missing' if lost else 'unknown'}."
        )
    return adapter.to(dtype)
