"""Load an EasyAnimate V5.1 checkpoint from a diffusers folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core.card import Card
from ...core.errors import ModelError
from ...weights import quantised
from ...weights.device import place_and_dtype
from ...weights.folder import load_part, network
from .model import EasyAnimateFamily, EasyAnimateParts
from .schedulers import flow_euler

PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> EasyAnimateFamily:
    """Load a model. device: defaults to a GPU if available. dtype: of all networks; defaults to bfloat16 on a GPU and
    to float32 on a CPU. ModelError names missing parts."""
    if not location.is_dir():
        raise ModelError(f"{location}: EasyAnimate is loaded from a folder in diffusers' layout.")
    quantised.refuse(location)
    missing = [part for part in PARTS if not (location / part).is_dir()]
    if missing:
        raise ModelError(f"{location}: missing parts: {', '.join(missing)}.")
    place, kind = place_and_dtype(device, dtype, torch.bfloat16)
    parts = load_folder(location, kind)
    for part in (parts.transformer, parts.vae, parts.text_encoder):
        part.eval().requires_grad_(False)
    return EasyAnimateFamily(card, parts, place)


def load_folder(folder: Path, dtype: torch.dtype) -> EasyAnimateParts:
    """Load the parts of a diffusers folder. Safetensors only."""
    from diffusers import AutoencoderKLMagvit, EasyAnimateTransformer3DModel
    from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration

    try:
        own = flow_euler(folder)
        encoder = network(Qwen2VLForConditionalGeneration, folder / "text_encoder", dtype)
        encoder.model.visual = encoder.lm_head = torch.nn.Identity()  # prompts have no pictures, and nothing is written
        return EasyAnimateParts(
            tokenizer=load_part(AutoTokenizer, folder / "tokenizer"),
            text_encoder=encoder,
            transformer=network(EasyAnimateTransformer3DModel, folder / "transformer", dtype),
            vae=network(AutoencoderKLMagvit, folder / "vae", dtype),
            scheduler=own,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from error
