"""Load an EasyAnimate V5.1 checkpoint: a folder in diffusers' layout or the authors', or a file of the authors beside a
folder with the other parts (original.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...core.card import Card
from ...core.errors import ModelError
from ...weights import quantised
from ...weights.configs import Config
from ...weights.device import place_and_dtype
from ...weights.folder import load_part, network
from . import original, original_load
from .detect import AUTHORS
from .model import EasyAnimateFamily, EasyAnimateParts
from .schedulers import flow_euler

OTHERS = ("vae", "text_encoder")
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> EasyAnimateFamily:
    """Load a model. device: defaults to a GPU if available. dtype: of all networks; defaults to bfloat16 on a GPU and
    to float32 on a CPU. ModelError names missing parts."""
    base = location if location.is_dir() else original.base_of(location)
    if base is None:
        raise ModelError(f"{location} requires {original.missing(location)[0]}.")
    quantised.refuse(location)
    quantised.refuse(base)
    alone = () if location.is_dir() else (location,)
    lost = [part for part in PARTS if not (base / part).is_dir() and not (alone and part == "transformer")]
    if lost:
        raise ModelError(f"{base}: missing parts: {', '.join(lost)}.")
    place, kind = place_and_dtype(device, dtype, torch.bfloat16)
    parts = load_folder(base, kind, *alone)
    for part in (parts.transformer, parts.vae, parts.text_encoder):
        part.eval().requires_grad_(False)
    return EasyAnimateFamily(card, parts, place)


def load_folder(folder: Path, dtype: torch.dtype, *alone: Path) -> EasyAnimateParts:
    """Load the parts of a folder. Safetensors only. alone: the transformer's file, in place of the folder's."""
    from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration

    try:
        own = flow_euler(folder)
        encoder = network(Qwen2VLForConditionalGeneration, folder / "text_encoder", dtype)
        encoder.model.visual = encoder.lm_head = torch.nn.Identity()  # prompts have no pictures, and nothing is written
        return EasyAnimateParts(
            tokenizer=load_part(AutoTokenizer, folder / "tokenizer"),
            text_encoder=encoder,
            transformer=_transformer(folder / "transformer", dtype, *alone),
            vae=_autoencoder(folder / "vae", dtype),
            scheduler=own,
            files=tuple(file for part in OTHERS for file in original.weight_files(folder / part)) if alone else (),
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from error


def _transformer(folder: Path, dtype: torch.dtype, *alone: Path) -> Any:
    from diffusers import EasyAnimateTransformer3DModel

    if alone:
        return original_load.transformer(list(alone), dtype)
    files = original.weight_files(folder)
    if original.is_original(original.shapes_of(files)):
        return original_load.transformer(files, dtype, Config.read(folder / "config.json"))
    return network(EasyAnimateTransformer3DModel, folder, dtype)


def _autoencoder(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import AutoencoderKLMagvit

    config = Config.read(folder / "config.json")
    if config.has(AUTHORS):
        return original_load.autoencoder(folder, dtype)
    return network(AutoencoderKLMagvit, folder, dtype)
