"""Read the tensors of a file: .safetensors, or what torch.save wrote. No code of the file is run."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError
from ..core.outside import for_terminal


def read(file: Path) -> dict[str, Any]:
    """Read a file's tensors by name, possibly within dictionaries. From a pickled file only tensors and plain values
    are loaded. Raises ModelError if it is damaged or holds anything else, such as TorchScript."""
    if is_torchscript(file):
        raise ModelError(f"{file}: cannot be read as tensors (it is TorchScript, which contains code).")
    try:
        if file.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(file))
        found = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(f"{file}: cannot be read as tensors ({one_line(error)}).") from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise ModelError(f"{file}: cannot be read ({one_line(error)}).") from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{file}: not a state dict (names and tensors).")
    return dict(found)


def is_torchscript(file: Path) -> bool:
    """Whether the file is an archive that contains code."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any("/code/" in name for name in archive.namelist())


def one_line(error: Exception) -> str:
    """The message of an error, or its kind, on one line of at most 200 characters."""
    return for_terminal(" ".join(str(error).split()) or type(error).__name__, 200)
