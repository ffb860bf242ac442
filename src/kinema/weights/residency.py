"""Move modules between devices. No other file but block_mover.py does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from .block_mover import BlockMover, bytes_of
from .headroom import HEADROOM

SMALL = 0.02
"""Share of that memory below which a staged module does not drive others out."""


class Residency:
    """Places modules on a device.

    `staged`: the module in use is on the device, and stays there until another one needs it; the others are on the CPU.
    A network that would fill the device alone runs block by block (`grouped`): as many of its blocks as fit stay, the
    others are copied for their calls. blocks: of a module, those that hold most of its weights, each called as a
    module, in the order of the calls. most: bytes that weights may take on the device; by default HEADROOM of what is
    free when the modules are placed, whatever else holds memory then.
    """

    def __init__(
        self, device: torch.device, modules: list[nn.Module], staged: bool | None = None,
        blocks: Mapping[nn.Module, Iterable[nn.Module]] | None = None, most: float | None = None,
    ) -> None:  # fmt: skip
        self.device, self.modules, self.fixed = device, modules, staged is not None or most is not None
        self.blocks = {module: list(each) for module, each in (blocks or {}).items()}
        if most is None:
            most = HEADROOM * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
        self.most = most
        self.staged = self.total > most if staged is None else staged
        self.active: list[nn.Module] = []
        self.there: list[nn.Module] = []
        self.movers: dict[nn.Module, BlockMover] = {}
        if not self.staged:
            for module in modules:
                module.to(device)

    @property
    def total(self) -> int:
        return sum(map(bytes_of, self.modules))

    def fit(self, work_bytes: float) -> None:
        """Place the modules anew for work that takes so many bytes besides weights, by what is free now. Nothing
        changes on a CPU, or if the placement was given."""
        if self.device.type != "cuda" or self.fixed:
            return
        own = self.there if self.staged else self.modules
        self._place_for(torch.cuda.mem_get_info(self.device)[0] + sum(map(bytes_of, own)), work_bytes)

    def _place_for(self, free: float, work_bytes: float) -> None:
        self.most = max(0.0, min(HEADROOM * free, free - work_bytes))
        staged = self.total > self.most
        self.release()  # also what stays of a network in blocks, for another number of blocks
        if staged == self.staged:
            return
        self.staged = staged
        for module in self.modules:
            module.to("cpu" if staged else self.device)

    def grouped(self, module: nn.Module) -> bool:
        """Whether a staged module runs block by block."""
        return self.staged and module in self.blocks and bytes_of(module) > self.most

    @contextmanager
    def using(self, module: nn.Module) -> Iterator[nn.Module]:
        """Hold the module on the device during a `with` block."""
        if not self.staged:
            yield module
            return
        self.active.append(module)
        try:
            mover = self.movers.get(module)
            if mover is not None and mover.stale:
                self._remove(module)
            if module not in self.there:
                self._make_room(module)
                self.there.append(module)
                self._place(module)
            elif mover is None:
                module.to(self.device)  # adapters may have added parts
            yield module
        finally:
            self.active.remove(module)

    def release(self) -> None:
        """Take every staged module that is not in use off the device."""
        for module in [each for each in self.there if each not in self.active]:
            self._remove(module)

    def _make_room(self, module: nn.Module) -> None:
        if bytes_of(module) > SMALL * self.most:
            self.release()

    def _place(self, module: nn.Module) -> None:
        if not self.grouped(module):
            module.to(self.device)
            return
        blocks = self.blocks[module]
        _move_all_but(module, set(blocks), self.device)
        sizes = [bytes_of(block) for block in blocks]
        room = self.most - (bytes_of(module) - sum(sizes)) - 2 * max(sizes)
        stay = 0
        while stay < len(sizes) and sum(sizes[: stay + 1]) <= room:
            stay += 1
        self.movers[module] = BlockMover(blocks, self.device)
        self.movers[module].start(stay)

    def _remove(self, module: nn.Module) -> None:
        if module in self.movers:
            self.movers.pop(module).stop()
        module.to("cpu")
        self.there.remove(module)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


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
