"""Noise from named streams: independent of the device, the batch and the number of windows."""

from __future__ import annotations

import hashlib

import torch


def stream_seed(seed: int, stream: str) -> int:
    """A 63-bit seed for a named stream, so that the streams of one request do not overlap."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:8], "big") >> 1


def noise(seed: int, stream: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal noise, float32, drawn on the CPU. `stream` names its purpose: "init/0", "augment", ..."""
    generator = torch.Generator("cpu").manual_seed(stream_seed(seed, stream))
    return torch.randn(shape, generator=generator, dtype=torch.float32)
