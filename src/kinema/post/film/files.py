"""Locations of FILM's weights. Requires no torch."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from ...core.errors import ModelError, WeightsMissing

MINI_NAME = "kinema-mini-film"
KINDS = ".safetensors, .pt or .pth (a state dict or TorchScript), or a folder with model.safetensors and config.json"


def mini_folder() -> Path:
    """The folder of the shipped network."""
    return Path(str(files("kinema"))) / "miniatures" / "mini_film"


def weights_file(model: str | os.PathLike[str] | None) -> Path:
    """The file that `open_film` reads; it is not opened. Raises WeightsMissing if the shipped one is missing,
    ModelError if another is, or has an unknown type."""
    place = mini_folder() if model is None or str(model) == MINI_NAME else Path(model).expanduser()
    if place.is_dir():
        place = place / "model.safetensors"
    if not place.is_file():
        kind = WeightsMissing if model is None else ModelError
        raise kind(f"{place}: no such file. FILM's weights must be {KINDS}.")
    if place.suffix not in (".safetensors", ".pt", ".pth"):
        raise ModelError(f"{place}: FILM's weights must be {KINDS}.")
    return place
