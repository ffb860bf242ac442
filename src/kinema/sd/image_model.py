"""An image model of Stable Diffusion's kind, opened part by part: a folder in diffusers' layout, or the single file
that personalised models are shared as."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from ..weights.folder import lone_scheduler, network, opened, scheduler


class ImageModel(Protocol):
    """Networks in the dtype they were opened for, the autoencoder in float32. Each call reads from the disk."""

    def unet(self) -> Any: ...

    def text_encoder(self) -> Any: ...

    def tokenizer(self) -> Any: ...

    def vae(self) -> Any: ...

    def scheduler(self) -> Any: ...

    def second_reader(self) -> tuple[Any, Any] | None:
        """(tokenizer, text encoder) of a model with two text encoders."""


def open_image_model(place: Path, dtype: torch.dtype) -> ImageModel:
    if place.is_dir():
        return Folder(place, dtype)
    from .image_file import ImageFile

    return ImageFile(place, dtype)


def own_schedule(place: Path) -> Callable[[Any], Any] | None:
    """What makes of an image model's noise schedule the one that a motion adapter or temporal layers were trained on,
    where their folder brings one (`scheduler/`, as a model's folder does); None where they take another."""
    if not (place / "scheduler").is_dir():
        return None
    found = lone_scheduler(place)
    return lambda own: found


class Folder:
    """Diffusers' layout. OSError, ValueError or RuntimeError where a part cannot be read."""

    def __init__(self, place: Path, dtype: torch.dtype) -> None:
        self.place, self.dtype = place, dtype

    def unet(self) -> Any:
        from diffusers import UNet2DConditionModel

        return network(UNet2DConditionModel, self.place / "unet", self.dtype)

    def text_encoder(self) -> Any:
        from transformers import CLIPTextModel

        return network(CLIPTextModel, self.place / "text_encoder", self.dtype)

    def tokenizer(self) -> Any:
        from transformers import CLIPTokenizer

        return opened(CLIPTokenizer, self.place / "tokenizer")

    def vae(self) -> Any:
        from diffusers import AutoencoderKL

        return network(AutoencoderKL, self.place / "vae", torch.float32)

    def scheduler(self) -> Any:
        return scheduler(self.place)

    def second_reader(self) -> tuple[Any, Any] | None:
        if not (self.place / "text_encoder_2").is_dir():
            return None
        from transformers import CLIPTextModelWithProjection, CLIPTokenizer

        encoder = network(CLIPTextModelWithProjection, self.place / "text_encoder_2", self.dtype)
        return opened(CLIPTokenizer, self.place / "tokenizer_2"), encoder
