"""Load `svd.safetensors` and `svd_xt.safetensors` as published by Stability AI: one file with all networks.

Configurations are derived from the tensors, so small checkpoints in the same layout load too. Nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core.errors import ModelError
from ...sd import original
from ...sd.original_file import TensorFile, fill, levels, vae_sizes
from ...weights.headers import header
from . import layouts
from .detect import recognise
from .model import SvdParts

HEAD_WIDTH = 64
"""Width of the UNet's attention heads in every published model."""
CLIP_HEAD_WIDTH = 80
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SCALING = 0.18215


def load_file(file: Path, dtype: torch.dtype) -> SvdParts:
    """Load the networks of a single file. ModelError if tensors are missing or have the wrong shape."""
    from safetensors import safe_open

    names = set(header(file))
    card = recognise(file)
    if card is None:
        raise ModelError(f"{file}: not a Stable Video Diffusion model in the original layout.")
    with safe_open(file, "pt") as tensors:
        source = TensorFile(file, tensors, names)
        return SvdParts(
            image_encoder=fill(_vision(source), source, layouts.vision_name, torch.float32),
            unet=fill(_unet(source, card.frames.trained), source, _unet_names(source), dtype),
            vae=fill(_vae(source), source, _vae_names(source), torch.float32),
            scheduler=_scheduler(),
            clip_mean=CLIP_MEAN,
            clip_std=CLIP_STD,
        )


def _unet(source: TensorFile, num_frames: int) -> Any:
    from diffusers import UNetSpatioTemporalConditionModel

    channels, layers, attended = levels(source)
    down = tuple("CrossAttnDownBlockSpatioTemporal" if a else "DownBlockSpatioTemporal" for a in attended)
    up = tuple("CrossAttnUpBlockSpatioTemporal" if a else "UpBlockSpatioTemporal" for a in reversed(attended))
    numbers = source.shape(f"{original.UNET}label_emb.0.0.weight")[1]
    context = source.shape(f"{original.UNET}middle_block.1.transformer_blocks.0.attn2.to_k.weight")[1]
    with torch.device("meta"):
        return UNetSpatioTemporalConditionModel(
            in_channels=source.shape(f"{original.UNET}input_blocks.0.0.weight")[1],
            out_channels=source.shape(f"{original.UNET}out.2.weight")[0],
            block_out_channels=tuple(channels), layers_per_block=layers, down_block_types=down, up_block_types=up,
            cross_attention_dim=context, num_attention_heads=tuple(max(1, c // HEAD_WIDTH) for c in channels),
            projection_class_embeddings_input_dim=numbers, addition_time_embed_dim=numbers // 3, num_frames=num_frames,
        )  # fmt: skip


def _unet_names(source: TensorFile) -> Any:
    _, layers, attended = levels(source)
    return lambda name: (original.unet_name(name, layers, attended), "")


def _vae(source: TensorFile) -> Any:
    from diffusers import AutoencoderKLTemporalDecoder

    with torch.device("meta"):
        return AutoencoderKLTemporalDecoder(scaling_factor=SCALING, **vae_sizes(source))


def _vae_names(source: TensorFile) -> Any:
    count = source.count(f"{original.VAE}encoder.down.{{}}.")
    return lambda name: (layouts.vae_name(name, count), "")


def _vision(source: TensorFile) -> Any:
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


def _scheduler() -> Any:
    """A scheduler with Karras sigmas from 700 to 0.002 and velocity outputs at continuous timesteps 0.25 ln sigma."""
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        prediction_type="v_prediction", timestep_type="continuous", use_karras_sigmas=True, sigma_max=700.0,
        sigma_min=0.002, timestep_spacing="leading", steps_offset=1, beta_schedule="scaled_linear", beta_start=0.00085,
        beta_end=0.012, interpolation_type="linear",
    )  # fmt: skip
