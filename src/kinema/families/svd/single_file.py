"""`svd.safetensors` and `svd_xt.safetensors` as Stability AI published them: one file with every network.

Configurations are read off the tensors, so that small checkpoints of the same layout load too. Nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core.errors import ModelError
from ...weights.store import header
from . import layouts
from .detect import recognise
from .model import SvdParts

HEAD_WIDTH = 64
"""Of the UNet's attention, in every published model."""
CLIP_HEAD_WIDTH = 80
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SCALING = 0.18215


def load_file(file: Path, dtype: torch.dtype) -> SvdParts:
    """The networks of a single file. ModelError where tensors are missing or have the wrong shape."""
    from safetensors import safe_open

    names = set(header(file))
    card = recognise(file)
    if card is None:
        raise ModelError(f"{file}: not Stable Video Diffusion in its original layout.")
    with safe_open(file, "pt") as tensors:
        source = _Source(file, tensors, names)
        return SvdParts(
            image_encoder=_fill(_vision(source), source, layouts.vision_name, torch.float32),
            unet=_fill(_unet(source, card.frames.trained), source, _unet_names(source), dtype),
            vae=_fill(_vae(source), source, _vae_names(source), torch.float32),
            scheduler=_scheduler(),
            clip_mean=CLIP_MEAN,
            clip_std=CLIP_STD,
        )


class _Source:
    """Tensors of the file by name, read when they are asked for."""

    def __init__(self, file: Path, tensors: Any, names: set[str]) -> None:
        self.file, self.tensors, self.names = file, tensors, names

    def get(self, name: str) -> torch.Tensor:
        if name not in self.names:
            raise ModelError(f"{self.file}: the tensor {name} is missing.")
        return self.tensors.get_tensor(name)

    def shape(self, name: str) -> list[int]:
        if name not in self.names:
            raise ModelError(f"{self.file}: the tensor {name} is missing.")
        return self.tensors.get_slice(name).get_shape()

    def count(self, pattern: str) -> int:
        """How many of pattern.format(0), pattern.format(1), ... begin a name."""
        number = 0
        while any(name.startswith(pattern.format(number)) for name in self.names):
            number += 1
        return number


def _levels(source: _Source) -> tuple[list[int], int, tuple[bool, ...]]:
    """(channels of each level, residual blocks a level, which levels have attention), of the UNet."""
    blocks = source.count(layouts.UNET + "input_blocks.{}.")
    down = [n for n in range(blocks) if f"{layouts.UNET}input_blocks.{n}.0.op.weight" in source.names]
    layers = down[0] - 1
    first = [1 + level * (layers + 1) for level in range(len(down) + 1)]
    channels = [source.shape(f"{layouts.UNET}input_blocks.{n}.0.out_layers.3.weight")[0] for n in first]
    attended = tuple(f"{layouts.UNET}input_blocks.{n}.1.norm.weight" in source.names for n in first)
    return channels, layers, attended


def _unet(source: _Source, num_frames: int) -> Any:
    from diffusers import UNetSpatioTemporalConditionModel

    channels, layers, attended = _levels(source)
    down = tuple("CrossAttnDownBlockSpatioTemporal" if a else "DownBlockSpatioTemporal" for a in attended)
    up = tuple("CrossAttnUpBlockSpatioTemporal" if a else "UpBlockSpatioTemporal" for a in reversed(attended))
    numbers = source.shape(f"{layouts.UNET}label_emb.0.0.weight")[1]
    context = source.shape(f"{layouts.UNET}middle_block.1.transformer_blocks.0.attn2.to_k.weight")[1]
    with torch.device("meta"):
        return UNetSpatioTemporalConditionModel(
            in_channels=source.shape(f"{layouts.UNET}input_blocks.0.0.weight")[1],
            out_channels=source.shape(f"{layouts.UNET}out.2.weight")[0],
            block_out_channels=tuple(channels), layers_per_block=layers, down_block_types=down, up_block_types=up,
            cross_attention_dim=context, num_attention_heads=tuple(max(1, c // HEAD_WIDTH) for c in channels),
            projection_class_embeddings_input_dim=numbers, addition_time_embed_dim=numbers // 3, num_frames=num_frames,
        )  # fmt: skip


def _unet_names(source: _Source) -> Any:
    _, layers, attended = _levels(source)
    return lambda name: (layouts.unet_name(name, layers, attended), "")


def _vae(source: _Source) -> Any:
    from diffusers import AutoencoderKLTemporalDecoder

    side = f"{layouts.VAE}encoder."
    levels = source.count(side + "down.{}.")
    channels = [source.shape(f"{side}down.{n}.block.0.conv1.weight")[0] for n in range(levels)]
    with torch.device("meta"):
        return AutoencoderKLTemporalDecoder(
            block_out_channels=tuple(channels), layers_per_block=source.count(side + "down.0.block.{}."),
            down_block_types=("DownEncoderBlock2D",) * levels, scaling_factor=SCALING,
            latent_channels=source.shape(f"{side}conv_out.weight")[0] // 2,
        )  # fmt: skip


def _vae_names(source: _Source) -> Any:
    """The encoder is taken from the picture's copy: it is the one that goes with quant_conv."""
    levels = source.count(f"{layouts.VAE}encoder.down.{{}}.")

    def name_of(name: str) -> tuple[str, str]:
        prefix = layouts.PICTURE_VAE if name.startswith("encoder.") else layouts.VAE
        return layouts.vae_name(name, levels, prefix), ""

    return name_of


def _vision(source: _Source) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    width, _, patch, _ = source.shape(f"{layouts.VISION}conv1.weight")
    places = source.shape(f"{layouts.VISION}positional_embedding")[0]
    inner = source.shape(f"{layouts.VISION}transformer.resblocks.0.mlp.c_fc.weight")[0]
    config = CLIPVisionConfig(
        hidden_size=width, intermediate_size=inner,
        num_hidden_layers=source.count(layouts.VISION + "transformer.resblocks.{}."),
        num_attention_heads=max(1, width // CLIP_HEAD_WIDTH), patch_size=patch,
        image_size=round((places - 1) ** 0.5) * patch, projection_dim=source.shape(f"{layouts.VISION}proj")[1],
        hidden_act="gelu",
    )  # fmt: skip
    return CLIPVisionModelWithProjection(config)


def _fill(network: Any, source: _Source, name_of: Any, dtype: torch.dtype) -> Any:
    """Every parameter from the file. Buffers (position numbers) stay as the class makes them."""
    state = {}
    for name, parameter in network.named_parameters():
        found, third = name_of(name)
        tensor = source.get(found)
        if third:
            tensor = tensor.chunk(3)["qkv".index(third)]
        if found.endswith("visual.proj"):
            tensor = tensor.T
        if tensor.numel() != parameter.numel():
            raise ModelError(f"{source.file}: {found} is {list(tensor.shape)}, {list(parameter.shape)} is expected.")
        state[name] = tensor.reshape(parameter.shape).to(dtype).contiguous()
    network.load_state_dict(state, strict=False, assign=True)
    return network


def _scheduler() -> Any:
    """Karras' noise levels, sigma from 700 to 0.002, and velocity outputs at continuous timesteps 0.25 ln sigma."""
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        prediction_type="v_prediction", timestep_type="continuous", use_karras_sigmas=True, sigma_max=700.0,
        sigma_min=0.002, timestep_spacing="leading", steps_offset=1, beta_schedule="scaled_linear", beta_start=0.00085,
        beta_end=0.012, interpolation_type="linear",
    )  # fmt: skip
