"""Where networks run and in what precision."""

from __future__ import annotations

from typing import Any

import torch

from ..core.errors import ModelError


def default_device() -> torch.device:
    """CUDA where there is one, else Apple's GPU, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def as_dtype(dtype: Any) -> torch.dtype:
    """A torch dtype, or its name ("float32", "bfloat16", "float16")."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype {dtype!r}: legal are float32, bfloat16, float16.")
    return found


def good_at_bfloat16(device: torch.device) -> bool:
    """Does the device multiply bfloat16 faster than float32? CPUs need AMX or AVX512-BF16 for that."""
    if device.type == "cpu":
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return device.type == "cuda" and torch.cuda.is_bf16_supported()
