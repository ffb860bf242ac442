"""Move modules between devices. No other file does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

HEADROOM = 0.75
"""Share of a GPU's memory above which weights are staged (moved to the GPU for use, then back)."""


class Residency:
    """Places modules on a device. `staged`: modules stay on the CPU and move to the device only while in use.
    `grouped`: those with blocks do so block by block, since one of them would fill the device alone. blocks: of a
    module, those that hold most of its weights, each called as a module."""

    def __init__(
        self, device: torch.device, modules: list[nn.Module], staged: bool | None = None,
        blocks: Mapping[nn.Module, Iterable[nn.Module]] | None = None, grouped: bool | None = None,
    ) -> None:  # fmt: skip
        self.device = device
        self.blocks = {module: list(each) for module, each in (blocks or {}).items()}
        most = HEADROOM * torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else float("inf")
        self.grouped = any(_bytes([module]) > most for module in self.blocks) if grouped is None else grouped
        self.staged = self.grouped or (_bytes(modules) > most if staged is None else staged)
        if not self.staged:
            for module in modules:
                module.to(device)

    @contextmanager
    def using(self, module: nn.Module) -> Iterator[nn.Module]:
        """Hold the module on the device during a `with` block."""
        if not self.staged:
            yield module
            return
        handles = self._block_by_block(module) if self.grouped and module in self.blocks else None
        if handles is None:
            module.to(self.device)
        try:
            yield module
        finally:
            for handle in handles or ():
                handle.remove()
            module.to("cpu")
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _block_by_block(self, module: nn.Module) -> list[Any]:
        """Move everything but the blocks to the device; the blocks move for each call, and back."""
        blocks = self.blocks[module]
        _move_all_but(module, set(blocks), self.device)
        handles: list[Any] = []
        for block in blocks:
            handles.append(block.register_forward_pre_hook(self._fetch))
            handles.append(block.register_forward_hook(_put_back, always_call=True))
        return handles

    def _fetch(self, block: nn.Module, _given: Any) -> None:
        block.to(self.device)


def _put_back(block: nn.Module, _given: Any, _found: Any) -> None:
    block.to("cpu")


def _move_all_but(module: nn.Module, blocks: set[nn.Module], device: torch.device) -> None:
    for child in module.children():
        if child in blocks:
            continue
        if any(each in blocks for each in child.modules()):
            _move_all_but(child, blocks, device)
        else:
            child.to(device)
    for held in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        held.data = held.data.to(device)


def _bytes(modules: list[nn.Module]) -> int:
    """The bytes of weights, those that layers keep as buffers (weights/stored) included."""
    return sum(
        part.numel() * part.element_size() for module in modules for part in (*module.parameters(), *module.buffers())
    )
