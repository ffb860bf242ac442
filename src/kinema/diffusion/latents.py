"""Latents: one tensor or, of a model that makes several media at once, several by name (video and sound).

The loop and all that serves it go through `each`, so that none of it knows how many there are. A part is (1, C, T, H,
W) or, without rows and columns, (1, C, T).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from .noise import noise

Latents = torch.Tensor | dict[str, torch.Tensor]
Shape = tuple[int, ...] | Mapping[str, tuple[int, ...]]


def each(function: Callable[..., Any], *latents: Any) -> Any:
    """function of each part of all of these, by name; of single tensors, its value for them."""
    if isinstance(latents[0], Mapping):
        return {name: function(*(one[name] for one in latents)) for name in latents[0]}
    return function(*latents)


def parts(latents: Any) -> dict[str, Any]:
    """The parts by name; a single tensor's name is ""."""
    return dict(latents) if isinstance(latents, Mapping) else {"": latents}


def of_parts(found: Mapping[str, Any]) -> Any:
    """Latents of the parts that `parts` gave."""
    return found[""] if "" in found else dict(found)


def drawn(seed: int, stream: str, shape: Shape) -> Any:
    """Standard normal noise of a shape, or of several: each part has a stream of its own."""
    if isinstance(shape, Mapping):
        return {name: noise(seed, f"{stream}/{name}", one) for name, one in shape.items()}
    return noise(seed, stream, shape)


def finite(latents: Any) -> bool:
    return all(bool(part.isfinite().all()) for part in parts(latents).values())
