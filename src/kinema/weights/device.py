"""Devices and precision of networks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

from ..core.errors import ModelError


def default_device() -> torch.device:
    """CUDA if available, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def name_of(device: torch.device | str) -> str:
    """A GPU's name as reported by its driver ("NVIDIA H200"), else "cpu" or "mps"."""
    place = torch.device(device)
    return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type


def place_and_dtype(device: Any, dtype: Any, on_gpu: torch.dtype) -> tuple[torch.device, torch.dtype]:
    """Resolve `load(device=None, dtype=None)`: a GPU if available; float32 on a CPU, else `on_gpu`."""
    place = torch.device(device) if device is not None else default_device()
    return place, as_dtype(dtype) if dtype is not None else torch.float32 if place.type == "cpu" else on_gpu


def precision(device: torch.device, low: bool) -> AbstractContextManager[Any]:
    """Return a context of bfloat16 arithmetic if `low` is set and the device is fast at it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=low and good_at_bfloat16(device))


def as_dtype(dtype: Any) -> torch.dtype:
    """The torch dtype of a dtype or its name ("float32", "bfloat16", "float16"). ModelError for others."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype {dtype!r}: legal are float32, bfloat16, float16.")
    return found


def good_at_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32. CPUs need AMX or AVX512-BF16 for that."""
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return device.type == "cuda" and torch.cuda.is_bf16_supported()
