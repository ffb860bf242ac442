"""Tensors that a training wrote, read back: never code, and a damaged file ends in an error that names it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from kinema.core.errors import KinemaError
from kinema.core.outside import for_terminal


def read(path: Path, device: str = "cpu") -> Any:
    """What torch.save wrote: tensors, numbers, text, dicts and lists of them. Raises KinemaError for a file that is
    damaged or holds anything else; FileNotFoundError where none is."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, KeyError, BadZipFile) as error:
        if "out of memory" in str(error).lower():
            raise
        reason = for_terminal((str(error).splitlines() or [type(error).__name__])[0], 200)
        raise KinemaError(f"{path}: cannot be read, damaged or no file of a training ({reason}).") from None
