"""Load a Stable Diffusion image model part by part, from a folder in diffusers' layout or a single file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from ..weights.folder import load_part, lone_scheduler, network, scheduler


class ImageModel(Protocol):
    """The parts of an image model: networks in the chosen dtype, the VAE in float32. Each call reads from the disk."""

    def unet(self) -> Any: ...

    def text_encoder(self) -> Any: ...

    def tokenizer(self) -> Any: ...

    def vae(self) -> Any: ...

    def scheduler(self) -> Any: ...

    def second_text_encoder(self) -> tuple[Any, Any] | None:
        """The second (tokenizer, text encoder) of a model with two; else None."""


def open_image_model(place: Path, dtype: torch.dtype) -> ImageModel:
    if place.is_dir():
        return Folder(place, dtype)
    from .image_file import ImageFile

    return ImageFile(place, dtype)


def own_schedule(place: Path) -> Callable[[Any], Any] | None:
    """A function from the image model's scheduler to the one in the folder of a motion adapter or temporal layers
    (`scheduler/`); None if the folder has none."""
    if not (place / "scheduler").is_dir():
        return None
    found = lone_scheduler(place)
    return lambda own: found


class Folder:
    """An image model in diffusers' layout. Methods raise OSError, ValueError or RuntimeError for unreadable parts."""

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

        return load_part(CLIPTokenizer, self.place / "tokenizer")

    def vae(self) -> Any:
        from diffusers import AutoencoderKL

        return network(AutoencoderKL, self.place / "vae", torch.float32)

    def scheduler(self) -> Any:
        return scheduler(self.place)

    def second_text_encoder(self) -> tuple[Any, Any] | None:
        if not (self.place / "text_encoder_2").is_dir():
            return None
        from transformers import CLIPTextModelWithProjection, CLIPTokenizer

        encoder = network(CLIPTextModelWithProjection, self.place / "text_encoder_2", self.dtype)
        return load_part(CLIPTokenizer, self.place / "tokenizer_2"), encoder
