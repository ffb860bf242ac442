"""Several tasks on one network as one: clips of several sizes cannot share a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .temporal import TemporalTask


class Several:
    """Each step is taken by one of the tasks, drawn by how many clips it has; the first one is measured."""

    def __init__(self, tasks: Sequence[TemporalTask]) -> None:
        self.tasks = tasks
        self.modules: Mapping[str, nn.Module] = tasks[0].modules
        self.names_for_adam: tuple[str, ...] = tasks[0].names_for_adam
        self.shares = torch.tensor([float(len(task.store)) for task in tasks])

    @property
    def samples(self) -> int:
        return sum(task.samples for task in self.tasks)

    @samples.setter
    def samples(self, count: int) -> None:
        self.tasks[0].samples = count - sum(task.samples for task in self.tasks[1:])

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        which = int(torch.multinomial(self.shares, 1, generator=generator))
        return self.tasks[which].loss(step, progress, generator)

    def evaluate(self, step: int) -> dict[str, Any]:
        return self.tasks[0].evaluate(step)
