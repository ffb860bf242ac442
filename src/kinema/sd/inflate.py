"""Inflate an image model to a video model: unchanged spatial layers, with temporal layers between them (Video LDM,
arXiv 2304.08818, section 3.1; ModelScope's network, arXiv 2308.06571).

A newly inflated network processes each frame as the image model does: its temporal layers are zero. Trained temporal
layers also work with other image models of the same shape.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..weights.adapter_keys import plain_name

TEMPORAL = ("temp_convs.", "temp_attentions.", "transformer_in.")
"""Parts of the names of UNet3DConditionModel's temporal tensors."""
BLOCKS = {
    "CrossAttnDownBlock2D": "CrossAttnDownBlock3D", "DownBlock2D": "DownBlock3D", "UpBlock2D": "UpBlock3D",
    "CrossAttnUpBlock2D": "CrossAttnUpBlock3D",
}  # fmt: skip
SAME = (
    "sample_size", "in_channels", "out_channels", "block_out_channels", "layers_per_block", "cross_attention_dim",
    "norm_num_groups", "norm_eps", "act_fn", "downsample_padding", "mid_block_scale_factor",
)  # fmt: skip


def is_temporal(name: str) -> bool:
    return any(mark in name for mark in TEMPORAL)


def is_spatial(name: str) -> bool:
    return not is_temporal(name)


def inflate(unet: Any) -> Any:
    """Create a UNet3DConditionModel with copies of the spatial layers of a UNet2DConditionModel. ValueError for an
    image model that does not fit the video class."""
    from diffusers import UNet3DConditionModel

    config = unet.config
    odd = [kind for kind in (*config.down_block_types, *config.up_block_types) if kind not in BLOCKS]
    if odd:
        raise ValueError(f"UNet3DConditionModel has no block for {odd[0]}. Supported: {', '.join(BLOCKS)}.")
    if not config.use_linear_projection:
        raise ValueError("UNet3DConditionModel requires an image model with use_linear_projection.")
    widths = {
        channels // heads
        for channels, heads in zip(config.block_out_channels, _heads(config), strict=True)
    }  # fmt: skip
    if len(widths) != 1:
        raise ValueError(f"Attention heads must have the same width on every level, got {sorted(widths)}.")
    video: Any = UNet3DConditionModel(
        **{name: config[name] for name in SAME}, attention_head_dim=widths.pop(),
        down_block_types=tuple(BLOCKS[kind] for kind in config.down_block_types),
        up_block_types=tuple(BLOCKS[kind] for kind in config.up_block_types),
    )  # fmt: skip
    copy_spatial(unet, video)
    zero_temporal(video)
    return video.to(unet.dtype).eval()


def copy_spatial(unet: Any, video: Any) -> None:
    """Copy the spatial layers of an image model into a video model; its temporal layers stay. ValueError if the two do
    not have the same shape."""
    state, own = unet.state_dict(), video.state_dict()
    wanted = {name for name in own if not is_temporal(name)}
    if wanted != set(state):
        other = sorted(wanted ^ set(state))
        raise ValueError(f"The two models differ in shape: only one has {other[0]}.")
    for name, tensor in state.items():
        if own[name].shape != tensor.shape:
            raise ValueError(
                f"{name} is {list(tensor.shape)} in the image model, {list(own[name].shape)} in the other."
            )
    video.load_state_dict(state, strict=False)


def zero_temporal(video: Any) -> None:
    """Set the output projections of the temporal layers to zero, so that they add nothing."""
    from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

    for module in video.modules():
        if isinstance(module, TransformerTemporalModel):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)


def digest(network: nn.Module, chosen: Callable[[str], bool]) -> str:
    """SHA-256 over the tensors that `chosen` selects, to prove that a training did not change them. Excludes adapters.
    Of weights sharded over processes, it covers this process's shard."""
    found = hashlib.sha256()
    own = {plain_name(name): tensor for name, tensor in network.state_dict().items() if ".lora_" not in name}
    for name, tensor in sorted(own.items()):
        if chosen(name):
            found.update(name.encode())
            local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
            found.update(local.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _heads(config: Any) -> tuple[int, ...]:
    """The attention heads of each level, whose number Stable Diffusion's configurations call `attention_head_dim`."""
    found = config.num_attention_heads or config.attention_head_dim
    return tuple(found) if isinstance(found, list | tuple) else (found,) * len(config.block_out_channels)
