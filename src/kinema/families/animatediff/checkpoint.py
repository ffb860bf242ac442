"""Load a motion adapter (diffusers' MotionAdapter), and an image model on demand."""

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
"""For the Stable Diffusion XL beta, from its authors' configuration; sampled with Euler's method."""


def load(card: Card, location: Path, device: Any = None, dtype: Any = None) -> AnimateDiffFamily:
    """Load a model. device: defaults to a GPU if available. dtype: of UNet and text encoder; defaults to float16 on a
    GPU and float32 on a CPU. The VAE stays float32. ModelError if the adapter cannot be read."""
    place, kind = place_and_dtype(device, dtype, torch.float16)
    try:
        adapter = adapter_at(location, kind)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{location}: cannot be loaded: {str(error).splitlines()[0]}") from error
    return AnimateDiffFamily(card, partial(read, adapter, kind, own_schedule(location)), place)


def adapter_at(location: Path, dtype: torch.dtype) -> Any:
    """Load an adapter from a folder in diffusers' layout or a published single file."""
    if location.is_dir():
        from diffusers import MotionAdapter

        return network(MotionAdapter, location, dtype)
    from safetensors.torch import load_file

    from .layouts import adapter_from

    return adapter_from(load_file(location), dtype)


def read(adapter: Any, dtype: torch.dtype, schedule: Callable[[Any], Any] | None, place: Path) -> PipelineParts:
    """Load the image model in a folder or file, with the adapter's motion modules. schedule: builds the adapter's own
    scheduler, if it has one. ModelError if the two do not fit."""
    from diffusers import UNetMotionModel

    image = open_image_model(place, dtype)

    def unet() -> Any:
        own: Any = image.unet()
        found = UNetMotionModel.from_unet2d(own, adapter)
        if getattr(found, "add_embedding", None) is not None:  # diffusers 0.42 leaves it random
            found.add_embedding.load_state_dict(own.add_embedding.state_dict())
        return found

    build = schedule or (xl_scheduler if (place / "text_encoder_2").is_dir() else scheduler)
    return PipelineParts.read(image, unet, f"{place} and the motion adapter do not fit", build)


def xl_scheduler(own: Any) -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        **XL_BETAS, steps_offset=1, prediction_type=own.config.get("prediction_type", "epsilon")
    )


def scheduler(own: Any) -> Any:
    """A DDIM scheduler with the linear betas of the motion modules' training (not the image model's), and the image
    model's prediction type. An image model with DDIM and trailing timesteps, as Kinema's miniatures, keeps its own
    scheduler."""
    from diffusers import DDIMScheduler

    if own.config.get("timestep_spacing") == "trailing":
        return DDIMScheduler.from_config(own.config)
    return DDIMScheduler(
        **BETAS, beta_schedule="linear", steps_offset=1, clip_sample=False, timestep_spacing="linspace",
        prediction_type=own.config.get("prediction_type", "epsilon"),
    )  # fmt: skip
