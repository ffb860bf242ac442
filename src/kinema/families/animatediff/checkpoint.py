"""A motion adapter (diffusers' MotionAdapter) and, when it is asked for, an image model, into memory."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...core.card import Card
from ...core.errors import ModelError
from ...sd.clip_model import Parts
from ...weights.device import place_and_dtype
from ...weights.folder import network
from .model import AnimateDiffFamily

BETAS = {"beta_start": 0.00085, "beta_end": 0.012}


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> AnimateDiffFamily:
    """device: None takes a GPU where there is one. dtype of UNet and text encoder: None takes float16 on a GPU and
    float32 on a CPU; the autoencoder stays float32. ModelError where the adapter cannot be read."""
    place, kind = place_and_dtype(device, dtype, torch.float16)
    try:
        adapter = adapter_at(location, kind)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{location}: cannot be loaded: {str(error).splitlines()[0]}") from error
    return AnimateDiffFamily(card, partial(read, adapter, kind), place)


def adapter_at(location: Path, dtype: torch.dtype) -> Any:
    """A folder in diffusers' layout, or a single file as it was published."""
    if location.is_dir():
        from diffusers import MotionAdapter

        return network(MotionAdapter, location, dtype)
    from safetensors.torch import load_file

    from .layouts import adapter_from

    return adapter_from(load_file(location), dtype)


def read(adapter: Any, dtype: torch.dtype, folder: Path) -> Parts:
    """The image model in a folder with the adapter's motion modules. ModelError where the two do not fit."""
    from diffusers import UNet2DConditionModel, UNetMotionModel

    def unet() -> Any:
        return UNetMotionModel.from_unet2d(network(UNet2DConditionModel, folder / "unet", dtype), adapter)

    return Parts.read(folder, dtype, unet, scheduler, f"{folder} and the motion adapter do not fit")


def scheduler(folder: Path) -> Any:
    """DDIM over evenly spaced betas, which the motion modules were trained on (the image model has other ones), with
    the image model's kind of prediction. An image model on a schedule of its own keeps it: then its folder names DDIM
    with trailing steps, as Kinema's miniatures do."""
    from diffusers import DDIMScheduler

    own: Any = DDIMScheduler.from_pretrained(folder / "scheduler")
    if own.config.timestep_spacing == "trailing":
        return own
    return DDIMScheduler(
        **BETAS, beta_schedule="linear", steps_offset=1, clip_sample=False, timestep_spacing="linspace",
        prediction_type=own.config.prediction_type,
    )  # fmt: skip
