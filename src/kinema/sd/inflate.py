"""An image model made a video model: spatial layers as they are, temporal layers between them (Video LDM,
arXiv 2304.08818, section 3.1; ModelScope's network, arXiv 2308.06571).

A freshly inflated network makes of every frame what the image model makes of it: its temporal layers add nothing yet.
Temporal layers belong to no picture: they can be carried over to another image model of the same shape.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..weights.adapter_keys import plain_name

TEMPORAL = ("temp_convs.", "temp_attentions.", "transformer_in.")
"""What marks a tensor of UNet3DConditionModel as temporal."""
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
    """A UNet3DConditionModel with the spatial layers of a UNet2DConditionModel, which is left as it is. ValueError for
    an image model that the video class cannot hold."""
    from diffusers import UNet3DConditionModel

    config = unet.config
    odd = [kind for kind in (*config.down_block_types, *config.up_block_types) if kind not in BLOCKS]
    if odd:
        raise ValueError(f"UNet3DConditionModel has no block for {odd[0]}; it knows {', '.join(BLOCKS)}.")
    if not config.use_linear_projection:
        raise ValueError("UNet3DConditionModel projects with linear layers; this model's use_linear_projection is off.")
    widths = {
        channels // heads
        for channels, heads in zip(config.block_out_channels, _heads(config), strict=True)
    }  # fmt: skip
    if len(widths) != 1:
        raise ValueError(f"Attention heads must be equally wide on every level, got {sorted(widths)}.")
    video: Any = UNet3DConditionModel(
        **{name: config[name] for name in SAME}, attention_head_dim=widths.pop(),
        down_block_types=tuple(BLOCKS[kind] for kind in config.down_block_types),
        up_block_types=tuple(BLOCKS[kind] for kind in config.up_block_types),
    )  # fmt: skip
    carry_over(unet, video)
    silence(video)
    return video.to(unet.dtype).eval()


def carry_over(unet: Any, video: Any) -> None:
    """Put the spatial layers of an image model into a video model, whose temporal layers stay. ValueError where the
    two do not have the same shape."""
    state, own = unet.state_dict(), video.state_dict()
    wanted = {name for name in own if not is_temporal(name)}
    if wanted != set(state):
        other = sorted(wanted ^ set(state))
        raise ValueError(f"These two models are not of one shape: {other[0]} is in one of them only.")
    for name, tensor in state.items():
        if own[name].shape != tensor.shape:
            raise ValueError(f"{name}: {list(tensor.shape)} in the image model, {list(own[name].shape)} in the other.")
    video.load_state_dict(state, strict=False)


def silence(video: Any) -> None:
    """Temporal layers that add nothing: what they end with becomes zero."""
    from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

    for module in video.modules():
        if isinstance(module, TransformerTemporalModel):
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)


def digest(network: nn.Module, chosen: Callable[[str], bool]) -> str:
    """SHA-256 over the tensors of a network that `chosen` names: proof of what a training left alone. Adapters that lie
    around a layer are not part of it. Of weights spread over processes it is this process's part."""
    found = hashlib.sha256()
    own = {plain_name(name): tensor for name, tensor in network.state_dict().items() if ".lora_" not in name}
    for name, tensor in sorted(own.items()):
        if chosen(name):
            found.update(name.encode())
            here = tensor.to_local() if hasattr(tensor, "to_local") else tensor
            found.update(here.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _heads(config: Any) -> tuple[int, ...]:
    """Attention heads of each level; `attention_head_dim` is their number in Stable Diffusion's configurations."""
    found = config.num_attention_heads or config.attention_head_dim
    return tuple(found) if isinstance(found, list | tuple) else (found,) * len(config.block_out_channels)
