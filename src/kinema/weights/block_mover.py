"""Blocks of a network that visit the device one by one, the next one copied while one computes.

Weights do not change while a network runs, so a block is never copied back: its parameters point to the CPU's tensors
again. On CUDA these tensors are pinned if memory allows, and copies run on a stream of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psutil
import torch
from torch import nn

PIN_SHARE = 0.5
"""Share of the CPU's free memory that the pinned copy of a network may take."""


class BlockMover:
    """Hooks on the blocks of one network, from `start` to `stop`. stay: the first blocks, which stay on the device in
    between. order: blocks in the order in which they are called; another order costs time only."""

    def __init__(self, blocks: Iterable[nn.Module], device: torch.device) -> None:
        self.blocks, self.device = list(blocks), device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.after: dict[int, int] = {index: index + 1 for index in range(len(self.blocks) - 1)}
        self.masters: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self.ready: dict[int, Any] = {}
        self.last: int | None = None
        self.handles: list[Any] = []

    def start(self, stay: int = 0) -> None:
        """Move the first blocks to the device for good, and the others at their calls, until `stop`."""
        pins = self._pins(self.blocks[stay:])
        for index, block in enumerate(self.blocks):
            if index < stay:
                block.to(self.device)
                continue
            held = list(_parts(block))
            if pins:
                for part in held:
                    part.data = part.data if part.data.is_pinned() else part.data.pin_memory()
            self.masters[index] = [(part, part.data) for part in held]
            self.handles.append(block.register_forward_pre_hook(self._before(index)))
            self.handles.append(block.register_forward_hook(self._after_call(index), always_call=True))

    @property
    def stale(self) -> bool:
        """Whether an adapter has put other tensors into the blocks since `start`."""
        return any(
            list(map(id, _parts(self.blocks[index]))) != [id(part) for part, _ in held]
            for index, held in self.masters.items()
        )

    def stop(self) -> None:
        """Take the hooks off; all blocks are on the CPU afterwards."""
        for handle in self.handles:
            handle.remove()
        for index in list(self.ready):
            self._put_back(index)
        for index, block in enumerate(self.blocks):
            if index not in self.masters:
                block.to("cpu")
        self.handles.clear()
        self.masters.clear()
        self.last = None

    def _before(self, index: int) -> Any:
        def fetch(_block: nn.Module, _given: Any) -> None:
            if self.last is not None:
                self.after[self.last] = index
            for other in [each for each in self.ready if each != index]:
                self._put_back(other)  # it was not called after all
            if index not in self.ready:
                self._fetch(index)
            if (event := self.ready[index]) is not None:
                torch.cuda.current_stream(self.device).wait_event(event)
                for part, _ in self.masters[index]:
                    part.data.record_stream(torch.cuda.current_stream(self.device))
            following = self.after.get(index)
            if following is not None and following in self.masters and following not in self.ready:
                self._fetch(following)
            self.last = index

        return fetch

    def _after_call(self, index: int) -> Any:
        def put_back(_block: nn.Module, _given: Any, _found: Any) -> None:
            self._put_back(index)

        return put_back

    def _fetch(self, index: int) -> None:
        event = None
        if self.stream is None:
            self._copy(index)
        else:
            with torch.cuda.stream(self.stream):
                self._copy(index)
                event = self.stream.record_event()
        self.ready[index] = event

    def _copy(self, index: int) -> None:
        for part, master in self.masters[index]:
            part.data = master.to(self.device, non_blocking=True)

    def _put_back(self, index: int) -> None:
        for part, master in self.masters[index]:
            part.data = master
        self.ready.pop(index, None)

    def _pins(self, blocks: list[nn.Module]) -> bool:
        """Whether the CPU's tensors of these blocks are to be pinned, which copies them."""
        if self.device.type != "cuda":
            return False
        return sum(map(bytes_of, blocks)) <= PIN_SHARE * psutil.virtual_memory().available


def _parts(block: nn.Module) -> tuple[torch.Tensor, ...]:
    return (*block.parameters(), *block.buffers())


def num_bytes(part: torch.Tensor) -> int:
    return part.numel() * part.element_size()


def bytes_of(module: nn.Module) -> int:
    """The bytes of a module's weights, those that layers keep as buffers (weights/stored) included."""
    return sum(map(num_bytes, _parts(module)))
