"""Load a model of the paper's design from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ....core.card import Card
from ....core.errors import ModelError
from ....weights.device import place_and_dtype
from ....weights.folder import load_part, network
from ..schedulers import flow_euler
from .model import PaperFamily, PaperParts


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> PaperFamily:
    """Load a model. device: defaults to a GPU if available. dtype: of all networks; defaults to bfloat16 on a GPU, to
    float32 on a CPU. ModelError for a damaged folder."""
    place, kind = place_and_dtype(device, dtype, torch.bfloat16)
    parts = load_folder(location, kind)
    for part in (parts.transformer, parts.vae, parts.text_encoder):
        part.eval().requires_grad_(False)
    return PaperFamily(card, parts, place)


def load_folder(folder: Path, dtype: torch.dtype) -> PaperParts:
    """Load the parts of a folder. Safetensors only."""
    from transformers import AutoTokenizer, T5EncoderModel

    from .slice_vae import SliceVae
    from .transformer import PaperTransformer

    try:
        own = flow_euler(folder)
        return PaperParts(
            tokenizer=load_part(AutoTokenizer, folder / "tokenizer"),
            text_encoder=network(T5EncoderModel, folder / "text_encoder", dtype),
            transformer=load_part(PaperTransformer, folder / "transformer", use_safetensors=True, torch_dtype=dtype),
            vae=load_part(SliceVae, folder / "vae", use_safetensors=True, torch_dtype=dtype),
            scheduler=own,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {(str(error).splitlines() or [''])[0]}") from error
