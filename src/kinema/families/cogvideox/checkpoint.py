"""Load a CogVideoX checkpoint from a diffusers folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core.card import Card
from ...core.errors import ModelError
from ...weights import quantised
from ...weights.configs import Config
from ...weights.device import place_and_dtype
from ...weights.folder import load_part, network, scheduler
from .model import CogVideoXFamily, CogVideoXParts
from .schedulers import PUBLISHED
from .tora import cards as tora

PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> CogVideoXFamily:
    """Load a model. device: defaults to a GPU if available. dtype: of all networks; defaults on a GPU to that of the
    publication (float16 for the 2B model, else bfloat16), and to float32 on a CPU. ModelError names missing parts."""
    if not location.is_dir():
        raise ModelError(f"{location}: CogVideoX is loaded from a folder in diffusers' layout.")
    quantised.refuse(location)
    missing = [part for part in PARTS if not (location / part).is_dir()]
    if missing:
        raise ModelError(f"{location}: missing parts: {', '.join(missing)}.")
    rotary = Config.read(location / "transformer" / "config.json").flag("use_rotary_positional_embeddings")
    place, kind = place_and_dtype(device, dtype, torch.bfloat16 if rotary else torch.float16)
    parts = load_folder(location, kind)
    for part in (parts.transformer, parts.vae, parts.text_encoder):
        part.eval().requires_grad_(False)
    return CogVideoXFamily(card, parts, place)


def load_folder(folder: Path, dtype: torch.dtype) -> CogVideoXParts:
    """Load the parts of a diffusers folder. Safetensors only."""
    from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
    from transformers import AutoTokenizer, T5EncoderModel

    from .tora.checkpoint import load as load_motion

    try:
        own = scheduler(folder)
        if type(own) not in PUBLISHED:
            raise ModelError(
                f"{folder / 'scheduler'}: unsupported class {type(own).__name__}. Supported: "
                + ", ".join(kind.__name__ for kind in PUBLISHED)
                + "."
            )
        parts = CogVideoXParts(
            tokenizer=load_part(AutoTokenizer, folder / "tokenizer"),
            text_encoder=network(T5EncoderModel, folder / "text_encoder", dtype),
            transformer=network(CogVideoXTransformer3DModel, folder / "transformer", dtype),
            vae=network(AutoencoderKLCogVideoX, folder / "vae", dtype),
            scheduler=own,
        )
        if Config.read(folder / "transformer" / "config.json").text("_class_name", "") == tora.TRANSFORMER:
            parts.motion = load_motion(folder / "transformer", parts.transformer, dtype)
        return parts
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from error
