"""The VAE of kinema-mini-wan: configuration, loading, and continued training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from mini_wan_editions import Edition

from kinema.core.numerals import decimal
from kinema.training.data import parallel_vae
from kinema.training.tasks.vae import initialize
from kinema.training.tasks.widen import check, widen


@dataclass(frozen=True)
class VaeStart:
    """Options for continuing the training of a VAE (`--set vae_start=FOLDER`).

    rate: factor on the default learning rates. edges: weight of the edge term. anchor: weight of the distance to the
    latents of `near` (`--set vae_near=FOLDER`, default: vae_start). bf16: convolutions in bfloat16 also on a CPU.
    """

    start: Path
    near: Path
    rate: float = 0.6
    edges: float = 0.5
    anchor: float = 0.05
    bf16: bool = False


def vae_start(options: dict[str, str], edition: Edition) -> VaeStart | None:
    """Parse a recipe's options; None without vae_start. Raises ValueError for a folder without a VAE, for an illegal
    number, and if the edition's VAE is smaller than the trained one."""
    if "vae_start" not in options:
        return None
    start = Path(options["vae_start"])
    near = Path(options.get("vae_near", start))
    for folder in (start, near):
        if not (folder / "config.json").is_file():
            raise ValueError(f"vae_start and vae_near must be folders of VAEs; {folder} has no config.json.")
    check(AutoencoderKLWan.load_config(start), **edition.vae)
    numbers = {name: number(options, f"vae_{name}") for name in ("rate", "edges", "anchor") if f"vae_{name}" in options}
    return replace(VaeStart(start, near, bf16=options.get("vae_bf16") == "on"), **numbers)


def number(options: dict[str, str], name: str) -> float:
    """Parse a number of 0 or more. Raises ValueError for anything else."""
    try:
        value = decimal(options[name])
    except ValueError:
        value = -1.0
    if not 0 <= value < 1000:
        raise ValueError(f"{name} must be a number from 0 to 1000, got {options[name]!r}.")
    return value


def resized(edition: Edition, options: dict[str, str]) -> Edition:
    """Return the edition with the full-resolution widths of `--set vae_decoder_base=N` and `--set vae_base=N`."""
    sizes = {
        key: int(number(options, name))
        for name, key in (("vae_base", "base_dim"), ("vae_decoder_base", "decoder_base_dim"))
        if name in options
    }
    return replace(edition, vae={**edition.vae, **sizes})


def vae_config(edition: Edition) -> dict[str, Any]:
    """The config: factor 8 in space, 4 in time, 16 latent channels. It has four levels and no patches, since the
    published pipeline computes the spatial factor from the number of levels. The decoder's last upsampling reduces
    channels by exactly four, which makes its shortcut a depth-to-space operation."""
    return {
        "z_dim": 16, "dim_mult": [1, 1, 4, 4], "num_res_blocks": 1, "temperal_downsample": [False, True, True],
        "is_residual": True, "scale_factor_spatial": 8, "scale_factor_temporal": 4,
        "latents_mean": [0.0] * 16, "latents_std": [1.0] * 16, **edition.vae,
    }  # fmt: skip


def new_vae(edition: Edition) -> AutoencoderKLWan:
    """Return an untrained VAE. Its full-resolution level is spatial only, which makes it three times cheaper."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(**vae_config(edition))
    initialize(vae, torch.Generator().manual_seed(0))
    return spatial(vae)


def spatial(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """Make the full-resolution level spatial only."""
    encoder, decoder = vae.encoder, vae.decoder
    parallel_vae.make_spatial(
        encoder.conv_in, encoder.down_blocks[0].resnets, decoder.up_blocks[-1].resnets, decoder.conv_out
    )
    return vae


def open_vae(folder: Path) -> AutoencoderKLWan:
    """Load a saved VAE with a spatial full-resolution level, as it was trained."""
    return spatial(AutoencoderKLWan.from_pretrained(folder, trust_remote_code=False).eval())


def widened(folder: Path, edition: Edition) -> AutoencoderKLWan:
    """Load a saved VAE and widen it to the edition's widths without changing its output."""
    return spatial(widen(open_vae(folder).float(), **edition.vae))


def decoder_for(before: AutoencoderKLWan, after: AutoencoderKLWan) -> AutoencoderKLWan:
    """Combine the encoder and latent statistics of `before` with the decoder of `after`, which was trained close to it,
    so that a model trained on the old latents can use the new decoder. Raises ValueError if the encoders differ in
    size."""
    if before.config.base_dim != after.config.base_dim:
        raise ValueError(
            f"Encoders must have the same width, got {before.config.base_dim} and {after.config.base_dim}."
        )
    settings = {key: value for key, value in after.config.items() if not key.startswith("_")}
    kept = {key: before.config[key] for key in ("latents_mean", "latents_std")}
    joined = AutoencoderKLWan(**{**settings, **kept}).eval()
    encoder = {k: v for k, v in before.state_dict().items() if k.startswith(("encoder.", "quant_conv."))}
    joined.load_state_dict({**after.state_dict(), **encoder})
    return spatial(joined)
