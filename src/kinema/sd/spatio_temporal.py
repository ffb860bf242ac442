"""Inflate an image model to Stable Video Diffusion's network (arXiv 2311.15127): unchanged spatial layers, temporal
layers that add nothing yet, and further input channels, with zero weights, for the image's latents.

A new network, and a new temporal decoder, process each frame as the image model does. With `picture` above 0, the first
layer also reads the image's channels, so the network copies part of the image from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

BLOCKS = {
    "CrossAttnDownBlock2D": "CrossAttnDownBlockSpatioTemporal", "DownBlock2D": "DownBlockSpatioTemporal",
    "UpBlock2D": "UpBlockSpatioTemporal", "CrossAttnUpBlock2D": "CrossAttnUpBlockSpatioTemporal",
}  # fmt: skip
TEMPORAL = ("temporal_res_block.", "temporal_transformer_blocks.", "time_mixer.", "time_pos_embed.", "time_conv_out.")
NUMBERS = 3
"""fps, motion and noise on the image, each embedded as a sinusoid."""
VAE_CONFIG = ("in_channels", "out_channels", "block_out_channels", "layers_per_block", "latent_channels", "sample_size",
              "scaling_factor")  # fmt: skip


def is_temporal(name: str) -> bool:
    return any(mark in name for mark in TEMPORAL)


def inflate(unet: Any, *, num_frames: int, numbers_width: int = 32, picture: float = 0.0) -> Any:
    """Create a UNetSpatioTemporalConditionModel from a copy of a UNet2DConditionModel. numbers_width: width of each
    number's sinusoid. picture: weights of the first layer for the image's channels, relative to those for the frame's.
    ValueError for an image model that does not fit the video class."""
    from diffusers import UNetSpatioTemporalConditionModel

    config = unet.config
    odd = [kind for kind in (*config.down_block_types, *config.up_block_types) if kind not in BLOCKS]
    if odd:
        raise ValueError(f"UNetSpatioTemporalConditionModel has no block for {odd[0]}. Supported: {', '.join(BLOCKS)}.")
    if not config.use_linear_projection:
        raise ValueError("Stable Video Diffusion requires an image model with use_linear_projection.")
    heads = config.num_attention_heads or config.attention_head_dim
    levels = len(config.block_out_channels)
    video: Any = UNetSpatioTemporalConditionModel(
        sample_size=config.sample_size, in_channels=2 * config.in_channels, out_channels=config.out_channels,
        down_block_types=tuple(BLOCKS[kind] for kind in config.down_block_types),
        up_block_types=tuple(BLOCKS[kind] for kind in config.up_block_types),
        block_out_channels=tuple(config.block_out_channels), layers_per_block=config.layers_per_block,
        cross_attention_dim=config.cross_attention_dim, addition_time_embed_dim=numbers_width,
        projection_class_embeddings_input_dim=NUMBERS * numbers_width, num_frames=num_frames,
        num_attention_heads=tuple(heads) if isinstance(heads, list | tuple) else (heads,) * levels,
    )  # fmt: skip
    state = dict(_renamed(unet.state_dict()))
    state["conv_in.weight"] = torch.cat([state["conv_in.weight"], picture * state["conv_in.weight"]], 1)
    _take(video, state)
    nn.init.zeros_(video.add_embedding.linear_2.weight)
    nn.init.zeros_(video.add_embedding.linear_2.bias)
    zero_temporal(video)
    return video.to(unet.dtype).eval()


def inflate_decoder(vae: Any) -> Any:
    """Create an AutoencoderKLTemporalDecoder from an AutoencoderKL; its decoder initially processes single frames. With
    one layer per block, the class cannot hold all of the middle block, and the decoder requires further training."""
    from diffusers import AutoencoderKLTemporalDecoder

    config = {name: vae.config[name] for name in VAE_CONFIG}
    found: Any = AutoencoderKLTemporalDecoder(**config, down_block_types=vae.config.down_block_types)
    # Stable Video Diffusion's decoder has no post_quant_conv, so the first convolution absorbs it (inexact only at the
    # very edge, where the convolution is padded with zeros).
    state = {f"decoder.{name}": value for name, value in _renamed(vae.decoder.state_dict())}
    state |= {f"encoder.{name}": value for name, value in vae.encoder.state_dict().items()}
    state |= {f"quant_conv.{name}": value for name, value in vae.quant_conv.state_dict().items()}
    before = vae.post_quant_conv
    mixed = torch.einsum("omhw,mi->oihw", state["decoder.conv_in.weight"], before.weight[:, :, 0, 0])
    shift = torch.einsum("omhw,m->o", state["decoder.conv_in.weight"], before.bias)
    state["decoder.conv_in.weight"] = mixed
    state["decoder.conv_in.bias"] = state["decoder.conv_in.bias"] + shift
    own = found.state_dict()
    too_much = [name for name in state if name not in own and name.startswith("decoder.mid_block.")]
    if config["layers_per_block"] == 1:
        state = {name: value for name, value in state.items() if name not in too_much}
    _take(found, state)
    zero_temporal(found)
    return found.to(vae.dtype).eval()


def zero_temporal(network: Any) -> None:
    """Set the last layers of all temporal blocks to zero, so that they add nothing."""
    from diffusers.models.attention import TemporalBasicTransformerBlock
    from diffusers.models.resnet import TemporalResnetBlock
    from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel

    def zero(layer: Any) -> None:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)

    for module in network.modules():
        if isinstance(module, TemporalResnetBlock):
            zero(module.conv2)
        elif isinstance(module, TemporalBasicTransformerBlock):
            for layer in (module.ff_in.net[2], module.attn1.to_out[0], module.ff.net[2]):
                zero(layer)
            if module.attn2 is not None:
                zero(module.attn2.to_out[0])
        elif isinstance(module, TransformerSpatioTemporalModel):
            zero(module.time_pos_embed.linear_2)
    last: Any = getattr(getattr(network, "decoder", None), "time_conv_out", None)
    if last is not None:
        zero(last)
        with torch.no_grad():
            last.weight[:, :, 1, 0, 0] = torch.eye(len(last.weight))


def _renamed(state: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """An image model's tensors under the video classes' names, which call residual blocks spatial."""
    for name, tensor in state.items():
        head, found, rest = name.partition(".resnets.")
        if found:
            number, _, rest = rest.partition(".")
            name = f"{head}.resnets.{number}.spatial_res_block.{rest}"
        yield name, tensor


def _take(video: Any, state: dict[str, torch.Tensor]) -> None:
    missing, unexpected = video.load_state_dict(state, strict=False)
    lost = [name for name in missing if not is_temporal(name) and not name.startswith("add_embedding.")]
    if lost or unexpected:
        raise ValueError(f"The two networks differ in shape: only one has {(lost or unexpected)[0]}.")
