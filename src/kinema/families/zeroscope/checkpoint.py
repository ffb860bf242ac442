"""Load a ModelScope or Zeroscope checkpoint (a diffusers folder), or temporal layers for an image model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...core.card import Card
from ...core.errors import ModelError
from ...sd import bases, temporal_layers
from ...sd.clip_model import ClipModel, PipelineParts
from ...sd.image_model import Folder, open_image_model, own_schedule
from ...weights.device import place_and_dtype
from ...weights.folder import network
from .model import TemporalLayersFamily, ZeroscopeFamily

PARTS = ("tokenizer", "text_encoder", "unet", "vae", "scheduler")


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> ClipModel:
    """Load a model. device: defaults to a GPU if available. dtype: of UNet and text encoder; defaults to float16 on a
    GPU and float32 on a CPU. The VAE stays float32. ModelError names missing parts."""
    place, kind = place_and_dtype(device, dtype, torch.float16)
    if bases.layers_in(location) is not None:
        return TemporalLayersFamily(card, partial(on_image, location, kind), place)
    missing = [part for part in PARTS if not (location / part).is_dir()]
    if missing:
        raise ModelError(f"{location}: missing parts: {', '.join(missing)}.")
    from diffusers import UNet3DConditionModel

    unet = partial(network, UNet3DConditionModel, location / "unet", kind)
    return ZeroscopeFamily(
        card, place, PipelineParts.read(Folder(location, kind), unet, f"{location}: cannot be loaded")
    )


def on_image(layers: Path, dtype: torch.dtype, image: Path) -> PipelineParts:
    """Load the parts of an image model, with these temporal layers in its UNet. ModelError if they do not fit."""
    opened = open_image_model(image, dtype)
    return PipelineParts.read(
        opened, lambda: temporal_layers.read(layers, opened.unet()), f"{layers} on {image}: cannot be loaded",
        own_schedule(layers),
    )  # fmt: skip
