"""Widen a trained AutoencoderKLWan: add channels and residual blocks without changing its output.

Old channels come first in the wider network, so that its shortcuts (averages and copies of neighbouring channels) pair
them as before. New channels have zero output weights and small random input weights, so the output stays the same and
the first gradient reaches every new channel. An added residual block outputs zeros.

Zeros lower the root mean square by which a norm divides; its gain on the old channels compensates. Attention divides by
the square root of the width; its queries and keys compensate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from .vae import initialize

READ = 0.3
"""Size of the input weights of new channels, relative to those of old ones."""

WIDTHS = ("base_dim", "decoder_base_dim", "num_res_blocks")


def check(config: Mapping[str, Any], **changes: int) -> None:
    """Raise ValueError if a change is not one of WIDTHS or is smaller than the configuration's value."""
    for name, value in changes.items():
        if name not in WIDTHS:
            raise ValueError(f"{name} cannot be widened. Legal: {', '.join(WIDTHS)}.")
        if value < (least := config.get(name) or config["base_dim"]):
            raise ValueError(f"{name} must be at least {least}, as in the trained network, got {value}.")


def widen(old: Any, **changes: int) -> Any:
    """Return an AutoencoderKLWan with larger `base_dim`, `decoder_base_dim` or `num_res_blocks` and the output of
    `old`.

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
    """Embed `old` in a tensor of this shape; new rows are zero, new columns of old rows small random numbers.

    Layers with several outputs of one width (queries, keys and values; the two frames of upsampling) hold them
    consecutively, and each part grows separately.
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
