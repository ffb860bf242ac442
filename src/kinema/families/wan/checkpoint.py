"""Load a Wan checkpoint: a diffusers folder, or single files in the original or ComfyUI's layout."""

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
from . import experts, extras, pairs
from .detect import recognise
from .model import WanFamily, WanParts

CLASSES = {
    "transformer": ("diffusers", ("WanTransformer3DModel", "WanVACETransformer3DModel")),
    "vae": ("diffusers", ("AutoencoderKLWan",)),
    "text_encoder": ("transformers", ("UMT5EncoderModel",)),
    "image_encoder": ("transformers", ("CLIPVisionModel",)),
}


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> WanFamily:
    """Load a model. device: defaults to a GPU if available. dtype: of transformer and text encoder; defaults to
    bfloat16 on a GPU and float32 on a CPU. The VAE stays float32, as published. ModelError names missing parts."""
    device, dtype = place_and_dtype(device, dtype, torch.bfloat16)
    quantised.refuse(location, quantised.STORED)
    recognise(location)  # a card that was added earlier may point to an unsupported model
    if location.is_dir():
        parts = load_folder(location, dtype, card.variant.rpartition("-")[2])
    else:
        from .single_file import load_files

        second = None if card.second_path is None else Path(card.second_path)
        if second is not None:
            pairs.pair(location, second)  # as for `recognise`
        parts = load_files(location, dtype, second)
    for each in (
        parts.text_encoder,
        parts.transformer,
        parts.transformer_2,
        parts.vae,
        parts.image_encoder,
        parts.tiny_decoder,
    ):
        if each is not None:
            each.eval().requires_grad_(False)
    return WanFamily(extras.complete(card, location), parts, device)


def load_folder(folder: Path, dtype: torch.dtype, expert: str = "") -> WanParts:
    """Load the parts that model_index.json names. expert: of a folder with two, load only "high" or "low"."""
    try:
        index = Config.read(folder / "model_index.json")
    except FileNotFoundError:
        raise ModelError(f"{folder}: contains no model_index.json.") from None
    missing = [
        part
        for part in ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
        if not (folder / part).is_dir()
    ]
    if missing:
        raise ModelError(f"{folder}: missing parts: {', '.join(missing)}.")
    two = index.part("transformer_2") is not None
    alone = two and expert in experts.FOLDERS
    first = experts.FOLDERS[expert] if alone else "transformer"
    try:
        from transformers import AutoTokenizer

        image_encoder = image_processor = None
        if index.part("image_encoder") is not None and (folder / "image_encoder").is_dir():
            from transformers import CLIPImageProcessorPil, CLIPVisionModel

            image_encoder = network(CLIPVisionModel, folder / "image_encoder", torch.float32)
            image_processor = load_part(CLIPImageProcessorPil, folder / "image_processor")
        return WanParts(
            tokenizer=load_part(AutoTokenizer, folder / "tokenizer"),
            text_encoder=_network(folder, index, "text_encoder", dtype),
            transformer=_network(folder, index, first, dtype),
            transformer_2=_network(folder, index, "transformer_2", dtype) if two and not alone else None,
            vae=_network(folder, index, "vae", torch.float32),
            scheduler=scheduler(folder),
            image_encoder=image_encoder,
            image_processor=image_processor,
            tiny_decoder=_tiny_decoder(folder / extras.TINY_DECODER),
            folder=folder,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from error


def _network(folder: Path, index: Config, part: str, dtype: torch.dtype) -> Any:
    """Load one network of the class that the checkpoint names, if supported. Safetensors only."""
    import importlib

    library, allowed = CLASSES[part.removesuffix("_2")]
    _, name = index.part(part) or ("", "no class")
    if name not in allowed:
        raise ModelError(f"{folder / part}: unsupported class {name}. Supported: {', '.join(allowed)}.")
    kind = getattr(importlib.import_module(library), name)
    return network(kind, folder / part, dtype)


def _tiny_decoder(folder: Path) -> Any:
    if not (folder / "config.json").is_file():
        return None
    from .tiny_decoder import TinyDecoder

    return TinyDecoder.load(folder)
