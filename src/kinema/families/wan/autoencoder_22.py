"""Convert the autoencoder of Wan 2.2 TI2V-5B from its single file (wan2.2_vae.safetensors) to AutoencoderKLWan."""

from __future__ import annotations

import re
from typing import Any

import torch

MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip
"""Mean and deviation of the 48 channels, which the file does not hold (Wan2.2, wan/modules/vae2_2.py)."""

SIGN = "decoder.upsamples.0.upsamples.0.residual.2.weight"
"""A tensor that only this autoencoder has."""
PATCH, LEVELS = 2, 4

NAMES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^conv1\.", "quant_conv."),
        (r"^conv2\.", "post_quant_conv."),
        (r"^(en|de)coder\.conv1\.", r"\1coder.conv_in."),
        (r"^(en|de)coder\.head\.0\.", r"\1coder.norm_out."),
        (r"^(en|de)coder\.head\.2\.", r"\1coder.conv_out."),
        (r"\.middle\.0\.", ".mid_block.resnets.0."),
        (r"\.middle\.1\.", ".mid_block.attentions.0."),
        (r"\.middle\.2\.", ".mid_block.resnets.1."),
        (r"\.downsamples\.(\d)\.downsamples\.(\d)\.(?=residual|shortcut)", r".down_blocks.\1.resnets.\2."),
        (r"\.downsamples\.(\d)\.downsamples\.\d\.(?=resample|time_conv)", r".down_blocks.\1.downsampler."),
        (r"\.upsamples\.(\d)\.upsamples\.(\d)\.(?=residual|shortcut)", r".up_blocks.\1.resnets.\2."),
        (r"\.upsamples\.(\d)\.upsamples\.\d\.(?=resample|time_conv)", r".up_blocks.\1.upsampler."),
        (r"\.residual\.0\.", ".norm1."),
        (r"\.residual\.2\.", ".conv1."),
        (r"\.residual\.3\.", ".norm2."),
        (r"\.residual\.6\.", ".conv2."),
        (r"\.shortcut\.", ".conv_shortcut."),
    )
)
"""Patterns of the file's names and diffusers' names for them."""


def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors by diffusers' names."""
    found = {}
    for key, value in state.items():
        for pattern, name in NAMES:
            key = pattern.sub(name, key)
        found[key] = value
    return found


def config(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The configuration of AutoencoderKLWan. KeyError if a tensor that it is derived from is missing."""
    base, z_dim = state["encoder.conv1.weight"].shape[0], state["conv2.weight"].shape[0]
    inner = [state[f"encoder.downsamples.{i}.downsamples.0.residual.2.weight"].shape[0] for i in range(LEVELS)]
    channels = state["encoder.conv1.weight"].shape[1]
    return {
        "base_dim": base,
        "decoder_base_dim": state["decoder.head.0.gamma"].shape[0],
        "z_dim": z_dim,
        "dim_mult": [width // base for width in inner],
        "temperal_downsample": [
            f"encoder.downsamples.{i}.downsamples.2.time_conv.weight" in state for i in range(LEVELS - 1)
        ],
        "is_residual": True,
        "in_channels": channels,
        "out_channels": channels,
        "patch_size": PATCH,
        "scale_factor_spatial": PATCH * 2 ** (LEVELS - 1),
        "scale_factor_temporal": 4,
        "latents_mean": list(MEAN),
        "latents_std": list(STD),
    }
