"""Where the weights of FILM are; needs no torch."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from ...core.errors import ModelError, WeightsMissing

MINI_NAME = "kinema-mini-film"
KINDS = ".safetensors, .pt or .pth (a state dict or TorchScript), or a folder with model.safetensors and config.json"


def mini_folder() -> Path:
    """Where the shipped network lies."""
    return Path(str(files("kinema"))) / "miniatures" / "mini_film"


def weights_file(model: str | os.PathLike[str] | None) -> Path:
    """The file that `open_film` reads. WeightsMissing where Kinema's own is not there, ModelError where another
    is not, or is of no kind that is known; nothing is opened."""
    place = mini_folder() if model is None or str(model) == MINI_NAME else Path(model).expanduser()
    if place.is_dir():
        place = place / "model.safetensors"
    if not place.is_file():
        kind = WeightsMissing if model is None else ModelError
        raise kind(f"{place}: no such file. The weights of FILM are a file: {KINDS}.")
    if place.suffix not in (".safetensors", ".pt", ".pth"):
        raise ModelError(f"{place}: weights of FILM are {KINDS}.")
    return place
