"""Move modules between devices. No other file does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

HEADROOM = 0.75
"""Share of a GPU's memory above which weights are staged (moved to the GPU for use, then back)."""


class Residency:
    """Places modules on a device. `staged`: modules stay on the CPU and move to the device only while in use."""

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
        """Hold the module on the device during a `with` block."""
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
