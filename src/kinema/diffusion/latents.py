"""Latents: one tensor or, for models that generate several media at once, several by name (video and sound).

The loop and its helpers use `each`, so they work for any number of parts. A part is (1, C, T, H, W) or, without spatial
dimensions, (1, C, T).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..core.options import Sampling
from ..core.plan import Plan
from .noise import NoiseInTurn, noise

Latents = torch.Tensor | dict[str, torch.Tensor]
Shape = tuple[int, ...] | Mapping[str, tuple[int, ...]]


def each(function: Callable[..., Any], *latents: Any) -> Any:
    """Apply a function to each part of the latents, by name; to single tensors, directly."""
    if isinstance(latents[0], Mapping):
        return {name: function(*(one[name] for one in latents)) for name in latents[0]}
    return function(*latents)


def parts(latents: Any) -> dict[str, Any]:
    """The parts by name; a single tensor has the name ""."""
    return dict(latents) if isinstance(latents, Mapping) else {"": latents}


def of_parts(found: Mapping[str, Any]) -> Any:
    """The inverse of `parts`."""
    return found[""] if "" in found else dict(found)


def drawn(seed: int, stream: str, shape: Shape) -> Any:
    """Standard normal noise of one shape, or of several by name, each from its own stream."""
    if isinstance(shape, Mapping):
        return {name: noise(seed, f"{stream}/{name}", one) for name, one in shape.items()}
    return noise(seed, stream, shape)


def initial(plan: Plan, stream: str, shape: Shape, *, frames_first: bool = False) -> Any:
    """The noise in which a plan begins: from a named stream, or (option `noise`) that of torch's generator.
    frames_first: see `NoiseInTurn`."""
    if Sampling.of(plan).noise == "torch" and not isinstance(shape, Mapping):
        return NoiseInTurn(plan.seed, frames_first=frames_first).draw(tuple(shape))
    return drawn(plan.seed, stream, shape)


def finite(latents: Any) -> bool:
    return all(bool(part.isfinite().all()) for part in parts(latents).values())
