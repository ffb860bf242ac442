"""Locations of super-resolution networks. Requires no torch."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from ...core.errors import ModelError, WeightsMissing

MINI_NAME = "kinema-mini-upscale"
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
KINDS = ".safetensors, .pth, .pt or .ckpt (a state dict), or a folder with model.safetensors and config.json"

Network = str | os.PathLike[str] | None
"""A file, a folder, or the name of the shipped network; None: the shipped one."""


def mini_folder() -> Path:
    """The folder of the shipped network."""
    return Path(str(files("kinema"))) / "miniatures" / "mini_upscale"


def network_file(network: Network = None) -> Path:
    """The file that `open_network` reads; it is not opened. Raises WeightsMissing if the shipped one is missing,
    ModelError if another is, or has an unknown type."""
    shipped = network is None or str(network) == MINI_NAME
    place = mini_folder() if shipped else Path(str(network)).expanduser()
    if place.is_dir():
        place = place / "model.safetensors"
    if not place.is_file():
        raise (WeightsMissing if shipped else ModelError)(
            f"{place}: no such file. A network must be {MINI_NAME}, or {KINDS}."
        )
    if place.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{place}: unknown type. A network must be {MINI_NAME}, or {KINDS}.")
    return place
