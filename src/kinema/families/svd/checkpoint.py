"""Load a Stable Video Diffusion checkpoint: a diffusers folder, or the original single file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core.card import Card
from ...core.errors import ModelError
from ...weights.configs import Config
from ...weights.device import place_and_dtype
from ...weights.folder import load_part, network
from .model import SvdFamily, SvdParts

PARTS = ("image_encoder", "unet", "vae", "scheduler", "feature_extractor")


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> SvdFamily:
    """Load a model. device: defaults to a GPU if available. dtype: of the UNet; defaults to float16 on a GPU and
    float32 on a CPU. The VAE and the image encoder stay float32. ModelError names missing parts."""
    place, kind = place_and_dtype(device, dtype, torch.float16)
    if location.is_dir():
        parts = load_folder(location, kind)
    else:
        from .single_file import load_file

        parts = load_file(location, kind)
    for part in (parts.image_encoder, parts.unet, parts.vae):
        part.eval().requires_grad_(False)
    return SvdFamily(card, parts, place)


def load_folder(folder: Path, dtype: torch.dtype) -> SvdParts:
    """Load the parts of a diffusers folder. Safetensors only."""
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise ModelError(f"{folder}: missing parts: {', '.join(missing)}.")
    from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionModelWithProjection

    try:
        pixels = Config.read(folder / "feature_extractor" / "preprocessor_config.json")
        return SvdParts(
            image_encoder=network(CLIPVisionModelWithProjection, folder / "image_encoder", torch.float32),
            unet=network(UNetSpatioTemporalConditionModel, folder / "unet", dtype),
            vae=network(AutoencoderKLTemporalDecoder, folder / "vae", torch.float32),
            scheduler=load_part(EulerDiscreteScheduler, folder / "scheduler"),
            clip_mean=pixels.numbers("image_mean", 3),
            clip_std=pixels.numbers("image_std", 3),
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from error
