"""kinema-mini-wan's autoencoder: its configuration, opening one as it was trained, going on from a trained one."""

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
class GoOn:
    """`--set vae_start=FOLDER` and what goes with it: how a trained autoencoder is trained on.

    rate: of the usual learning rates. edges: weight of the edge term. anchor: weight of the distance to the latents of
    `near` (`--set vae_near=FOLDER`, else vae_start). bf16: convolutions in bfloat16 also on a CPU.
    """

    start: Path
    near: Path
    rate: float = 0.6
    edges: float = 0.5
    anchor: float = 0.05
    bf16: bool = False


def go_on(options: dict[str, str], edition: Edition) -> GoOn | None:
    """From a recipe's options, or None. Raises ValueError for a folder without an autoencoder, for a wrong number, and
    where the edition's autoencoder is smaller than the trained one."""
    if "vae_start" not in options:
        return None
    start = Path(options["vae_start"])
    near = Path(options.get("vae_near", start))
    for folder in (start, near):
        if not (folder / "config.json").is_file():
            raise ValueError(f"vae_start and vae_near are folders of autoencoders; {folder} has no config.json.")
    check(AutoencoderKLWan.load_config(start), **edition.vae)
    numbers = {name: number(options, f"vae_{name}") for name in ("rate", "edges", "anchor") if f"vae_{name}" in options}
    return replace(GoOn(start, near, bf16=options.get("vae_bf16") == "on"), **numbers)


def number(options: dict[str, str], name: str) -> float:
    """Raises ValueError unless it is a number of 0 or more."""
    try:
        value = decimal(options[name])
    except ValueError:
        value = -1.0
    if not 0 <= value < 1000:
        raise ValueError(f"{name} is a number from 0 to 1000, not {options[name]!r}.")
    return value


def resized(edition: Edition, options: dict[str, str]) -> Edition:
    """The edition with `--set vae_decoder_base=N` and `--set vae_base=N` channels at full resolution."""
    sizes = {
        key: int(number(options, name))
        for name, key in (("vae_base", "base_dim"), ("vae_decoder_base", "decoder_base_dim"))
        if name in options
    }
    return replace(edition, vae={**edition.vae, **sizes})


def vae_config(edition: Edition) -> dict[str, Any]:
    """Eight times in space, four in time, sixteen latent channels. Four levels without patches, because the published
    pipeline reads the spatial factor from the number of levels. The decoder narrows by exactly four where it doubles
    rows and columns for the last time, which makes its shortcut there a true depth-to-space."""
    return {
        "z_dim": 16, "dim_mult": [1, 1, 4, 4], "num_res_blocks": 1, "temperal_downsample": [False, True, True],
        "is_residual": True, "scale_factor_spatial": 8, "scale_factor_temporal": 4,
        "latents_mean": [0.0] * 16, "latents_std": [1.0] * 16, **edition.vae,
    }  # fmt: skip


def new_vae(edition: Edition) -> AutoencoderKLWan:
    """Untrained; time plays no part in its full-resolution level, which makes that three times cheaper."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(**vae_config(edition))
    initialize(vae, torch.Generator().manual_seed(0))
    return spatial(vae)


def spatial(vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """Its full-resolution level sees frame by frame."""
    encoder, decoder = vae.encoder, vae.decoder
    parallel_vae.make_spatial(
        encoder.conv_in, encoder.down_blocks[0].resnets, decoder.up_blocks[-1].resnets, decoder.conv_out
    )
    return vae


def open_vae(folder: Path) -> AutoencoderKLWan:
    """A saved VAE, its full-resolution level seen frame by frame as it was trained."""
    return spatial(AutoencoderKLWan.from_pretrained(folder, trust_remote_code=False).eval())


def widened(folder: Path, edition: Edition) -> AutoencoderKLWan:
    """A saved VAE with the edition's widths; it computes what the saved one does."""
    return spatial(widen(open_vae(folder).float(), **edition.vae))


def decoder_for(before: AutoencoderKLWan, after: AutoencoderKLWan) -> AutoencoderKLWan:
    """The encoder and the latent statistics of one with the decoder of another that was trained on near it: a model
    taught on the old latents can be drawn with the new decoder at once. Raises ValueError where encoders differ in
    size."""
    if before.config.base_dim != after.config.base_dim:
        raise ValueError(f"Encoders of {before.config.base_dim} and {after.config.base_dim} channels do not fit.")
    settings = {key: value for key, value in after.config.items() if not key.startswith("_")}
    kept = {key: before.config[key] for key in ("latents_mean", "latents_std")}
    joined = AutoencoderKLWan(**{**settings, **kept}).eval()
    encoder = {k: v for k, v in before.state_dict().items() if k.startswith(("encoder.", "quant_conv."))}
    joined.load_state_dict({**after.state_dict(), **encoder})
    return spatial(joined)
