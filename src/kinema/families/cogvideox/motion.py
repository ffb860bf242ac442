"""The place for networks that guide the transformer's blocks by motion."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import nn


class MotionGuide(Protocol):
    """A part of the checkpoint that changes the video tokens of every block."""

    @property
    def modules(self) -> Sequence[nn.Module]:
        """Its networks, for their placement on a device."""
        ...

    def features(self, flow_BCTHW: torch.Tensor) -> Any:
        """Features for every block, computed once per request, from the scaled latents of the flow pictures, with as
        many latent frames as the video's."""
        ...

    def applied(self, transformer: nn.Module, features: Any, shape: tuple[int, ...]) -> AbstractContextManager[Any]:
        """A context in which calls of the transformer are guided. shape: of its input, (B, T, C, h, w); B is the number
        of branches, which share the features."""
        ...
