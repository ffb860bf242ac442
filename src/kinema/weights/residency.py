"""The only place that moves modules between devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

HEADROOM = 0.75
"""Weights may fill this share of a GPU's memory before they are staged (moved in for use and out again)."""


class Residency:
    """Where modules live. `staged`: they rest on the CPU and visit the device only while they are used."""

    def __init__(self, device: torch.device, modules: list[nn.Module], staged: bool | None = None) -> None:
        self.device = device
        if staged is None:
            staged = device.type == "cuda" and _bytes(modules) > HEADROOM * torch.cuda.mem_get_info(device)[1]
        self.staged = staged
        if not staged:
            for module in modules:
                module.to(device)

    @contextmanager
    def using(self, module: nn.Module) -> Iterator[nn.Module]:
        """The module on the device for the length of a `with` block."""
        if not self.staged:
            yield module
            return
        module.to(self.device)
        try:
            yield module
        finally:
            module.to("cpu")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()


def _bytes(modules: list[nn.Module]) -> int:
    return sum(part.numel() * part.element_size() for module in modules for part in module.parameters())
