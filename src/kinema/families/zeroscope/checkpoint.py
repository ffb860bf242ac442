"""A ModelScope or Zeroscope checkpoint (a diffusers folder) into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core.card import Card
from ...core.errors import ModelError
from ...sd.clip_model import Parts
from ...weights.device import place_and_dtype
from ...weights.folder import network, scheduler
from .model import ZeroscopeFamily

PARTS = ("tokenizer", "text_encoder", "unet", "vae", "scheduler")


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> ZeroscopeFamily:
    """device: None takes a GPU where there is one. dtype of UNet and text encoder: None takes float16 on a GPU and
    float32 on a CPU; the autoencoder stays float32. ModelError names what is missing."""
    place, kind = place_and_dtype(device, dtype, torch.float16)
    missing = [part for part in PARTS if not (location / part).is_dir()]
    if missing:
        raise ModelError(f"{location}: these parts are missing: {', '.join(missing)}.")
    from diffusers import AutoencoderKL, UNet3DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    try:
        parts = Parts(
            tokenizer=CLIPTokenizer.from_pretrained(location / "tokenizer"),
            text_encoder=network(CLIPTextModel, location / "text_encoder", kind),
            unet=network(UNet3DConditionModel, location / "unet", kind),
            vae=network(AutoencoderKL, location / "vae", torch.float32),
            scheduler=scheduler(location),
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{location}: cannot be loaded: {str(error).splitlines()[0]}") from error
    return ZeroscopeFamily(card, place, parts.still())
