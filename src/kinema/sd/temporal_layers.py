"""Temporal layers as a separate model: a folder with a configuration and the tensors that an image model lacks.

    config.json                  class, the image model they were trained on, frames
    temporal_layers.safetensors  UNet3DConditionModel's temporal tensors (and any spatial ones that were trained too)

They work with any image model of the same shape (Video LDM, arXiv 2304.08818, section 4.2).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError
from ..core.whole import whole, write_text
from .bases import LAYERS
from .inflate import inflate, is_temporal

FILE = "temporal_layers.safetensors"


def write(
    folder: Path, video: Any, image: Any, *, base: str, num_frames: int, side_px: int | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:  # fmt: skip
    """Write the tensors of `video` that `image` lacks or that differ. base: the image model's name. side_px: the
    training size, if it is not the image model's."""
    from safetensors.torch import save_file

    own = image.state_dict()
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in video.state_dict().items()
        if is_temporal(name) or not torch.equal(tensor, own[name])
    }
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"_class_name": LAYERS, "of": type(video).__name__, "base": base, "num_frames": num_frames}
    if side_px is not None:
        config["side_px"] = side_px
    with whole(folder / FILE) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")


def read(folder: Path, image: Any) -> Any:
    """Build a video model from a UNet2DConditionModel and these layers. ModelError if they do not fit."""
    from safetensors.torch import load_file

    tensors = load_file(folder / FILE)
    try:
        video = inflate(image)
    except ValueError as error:
        raise ModelError(f"{folder}: the image model cannot be inflated: {error}") from None
    own = video.state_dict()
    for name, tensor in tensors.items():
        if name not in own or own[name].shape != tensor.shape:
            problem = f"must be {list(own[name].shape)}" if name in own else "is not a part of it"
            raise ModelError(f"{folder}: the layers do not fit the image model: {name} {problem}.")
    if missing := [name for name in own if is_temporal(name) and name not in tensors]:
        raise ModelError(f"{folder}: the temporal layer {missing[0]} is missing.")
    video.load_state_dict(tensors, strict=False)
    return video
