"""What the runs of several recipes share: settings, device, threads, the configuration of a loop, clips."""

from __future__ import annotations

from typing import Any

import torch

from kinema.training.core import processes
from kinema.training.core.budget import NOTHING, FixedCost
from kinema.training.core.loop import LoopConfig
from kinema.training.core.stages import Settings
from kinema.training.data.store import ClipStore
from kinema.weights.device import good_at_bfloat16


class RecipeRun:
    """The stages of a run are its methods, each called in every process with its minutes. full: not a rehearsal of a
    few seconds."""

    def __init__(self, settings: Settings):
        self.settings, self.out = settings, settings.out
        self.device = processes.own_device(settings.device)
        self.big = self.device != "cpu"
        self.full = self.big or settings.minutes >= 10
        self.low = good_at_bfloat16(torch.device(self.device))
        torch.set_num_threads(8 if self.big else 1)

    def fixed_cost(self, before_s: float, after_s: float = 0.0) -> FixedCost:
        """The fixed cost of a stage in a rehearsal, as measured on one core."""
        return NOTHING if self.full else FixedCost(before_s, after_s)

    def config(self, name: str, minutes: float, **changes: Any) -> LoopConfig:
        values: dict[str, Any] = {
            "device": self.device, "bf16": self.low,
            "resume": self.settings.resume, "final_lr": 0.02, "decay_from": 0.3,
            "evaluate_minutes": max(1.0, min(10.0, minutes / 2.5)), "budget": self.settings.budget,
        }  # fmt: skip
        return LoopConfig(out=self.out / name, minutes=max(minutes, 0.02), **{**values, **changes})

    def open_clips(self, name: str = "clips") -> ClipStore:
        return ClipStore(self.out / name)
