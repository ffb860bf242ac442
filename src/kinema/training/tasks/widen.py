"""Widening a trained AutoencoderKLWan: more channels and more residual blocks that change nothing yet.

Old channels come first in the wider network, so that its shortcuts (averages and copies of neighbouring channels) pair
them as before. New channels are written with zeros and read with small random weights: the wider network computes what
the old one did, and the first gradient already reaches every new channel. An added residual block writes zeros.

A norm divides by the root mean square over all channels, which zeros lower; its gain on the old channels makes up for
it. Attention divides by the root of the width; its queries make up for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from .vae import initialize

READ = 0.3
"""Size of the weights that read new channels, relative to those of the old ones."""

WIDTHS = ("base_dim", "decoder_base_dim", "num_res_blocks")


def check(config: Mapping[str, Any], **changes: int) -> None:
    """Raises ValueError unless a network of this configuration can grow so: another setting, or a smaller one."""
    for name, value in changes.items():
        if name not in WIDTHS:
            raise ValueError(f"{name} is not among what can grow: {', '.join(WIDTHS)}.")
        if value < (least := config.get(name) or config["base_dim"]):
            raise ValueError(f"{name} is {least} in the trained network; {value} is less.")


def widen(old: Any, **changes: int) -> Any:
    """An AutoencoderKLWan that computes what `old` does with these larger `base_dim`, `decoder_base_dim`,
    `num_res_blocks`.

    Raises ValueError as `check` does.
    """
    check(old.config, **changes)
    config: dict[str, Any] = {key: value for key, value in old.config.items() if not key.startswith("_")}
    generator = torch.Generator().manual_seed(0)
    new: Any = AutoencoderKLWan(**{**config, **changes})
    initialize(new, generator)
    before = old.state_dict()
    with torch.no_grad():
        for name, weight in new.state_dict().items():
            if name in before:
                weight.copy_(grown(name, before[name].float(), weight.shape, generator))
            elif name.endswith(("conv2.weight", "conv2.bias")):
                weight.zero_()
    return new


def grown(name: str, old: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """`old` in the corner of a tensor of this shape; new rows are zero, new columns of old rows small random numbers.

    Layers that make several things of one width (queries, keys and values; the two frames of a later time) hold
    them one after the other, and each of them grows by itself.
    """
    if old.shape == shape:
        return old
    if name.endswith("gamma"):
        new = torch.ones(shape)
        new[: len(old)] = old * (len(old) / shape[0]) ** 0.5
        return new
    parts = 3 if "to_qkv" in name else 2 if "upsampler.time_conv" in name else 1
    new = torch.zeros(parts, shape[0] // parts, *shape[1:])
    kept = old.unflatten(0, (parts, -1))
    rows = kept.shape[1]
    if old.ndim > 1:
        columns = old.shape[1]
        fresh = torch.randn(parts, rows, shape[1] - columns, *shape[2:], generator=generator)
        new[:, :rows, columns:] = READ * kept.std() * fresh
        new[:, :rows, :columns] = kept
    else:
        new[:, :rows] = kept
    if "to_qkv" in name:
        new[0] *= (new.shape[1] / rows) ** 0.25
        new[1] *= (new.shape[1] / rows) ** 0.25
    return new.flatten(0, 1)
