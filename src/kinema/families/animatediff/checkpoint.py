"""A motion adapter (diffusers' MotionAdapter) and, when it is asked for, an image model, into memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...core.card import Card
from ...core.errors import ModelError
from ...sd.clip_model import PipelineParts
from ...sd.image_model import open_image_model, own_schedule
from ...weights.device import place_and_dtype
from ...weights.folder import network
from .model import AnimateDiffFamily

BETAS = {"beta_start": 0.00085, "beta_end": 0.012}
XL_BETAS = {"beta_start": 0.00085, "beta_end": 0.02, "beta_schedule": "scaled_linear"}
"""Of the beta for Stable Diffusion XL, by its authors' configuration; sampled with Euler's method."""


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> AnimateDiffFamily:
    """device: None takes a GPU where there is one. dtype of UNet and text encoder: None takes float16 on a GPU and
    float32 on a CPU; the autoencoder stays float32. ModelError where the adapter cannot be read."""
    place, kind = place_and_dtype(device, dtype, torch.float16)
    try:
        adapter = adapter_at(location, kind)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{location}: cannot be loaded: {str(error).splitlines()[0]}") from error
    return AnimateDiffFamily(card, partial(read, adapter, kind, own_schedule(location)), place)


def adapter_at(location: Path, dtype: torch.dtype) -> Any:
    """A folder in diffusers' layout, or a single file as it was published."""
    if location.is_dir():
        from diffusers import MotionAdapter

        return network(MotionAdapter, location, dtype)
    from safetensors.torch import load_file

    from .layouts import adapter_from

    return adapter_from(load_file(location), dtype)


def read(adapter: Any, dtype: torch.dtype, schedule: Callable[[Any], Any] | None, place: Path) -> PipelineParts:
    """The image model in a folder or a file with the adapter's motion modules. schedule: makes the adapter's own, if
    it has one. ModelError where the two do not fit."""
    from diffusers import UNetMotionModel

    image = open_image_model(place, dtype)

    def unet() -> Any:
        own: Any = image.unet()
        found = UNetMotionModel.from_unet2d(own, adapter)
        if getattr(found, "add_embedding", None) is not None:  # diffusers 0.42 leaves it random
            found.add_embedding.load_state_dict(own.add_embedding.state_dict())
        return found

    made = schedule or (xl_scheduler if (place / "text_encoder_2").is_dir() else scheduler)
    return PipelineParts.read(image, unet, f"{place} and the motion adapter do not fit", made)


def xl_scheduler(own: Any) -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        **XL_BETAS, steps_offset=1, prediction_type=own.config.get("prediction_type", "epsilon")
    )


def scheduler(own: Any) -> Any:
    """DDIM over evenly spaced betas, which the motion modules were trained on (the image model has other ones), with
    the image model's kind of prediction. An image model on a schedule of its own keeps it: then its folder names DDIM
    with trailing steps, as Kinema's miniatures do."""
    from diffusers import DDIMScheduler

    if own.config.get("timestep_spacing") == "trailing":
        return DDIMScheduler.from_config(own.config)
    return DDIMScheduler(
        **BETAS, beta_schedule="linear", steps_offset=1, clip_sample=False, timestep_spacing="linspace",
        prediction_type=own.config.get("prediction_type", "epsilon"),
    )  # fmt: skip
