"""Train kinema-mini-i3d: a small video encoder that tells Toyland's motions, on one CPU core.

    kinema train recipes/mini_i3d.py --minutes 40 --out runs/i3d
    kinema train recipes/mini_i3d.py --minutes 40 --out runs/i3d --resume

It stands in for I3D where no weights can be fetched: Frechet distances of its features compare clips of Toyland with
each other, and with nothing else. `--set start=FOLDER` continues from a finished one.

Stages: clips, encoder, export (model.safetensors, config.json, card.json).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kinema.evaluation.cases import HELD_OUT
from kinema.features.small_i3d import SmallI3d, SmallI3dConfig, open_small
from kinema.toyland.scene import WORLD
from kinema.training.core import processes, run_folder
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import train
from kinema.training.core.stages import Settings, Stage
from kinema.training.tasks.export_network import export_network
from kinema.training.tasks.video_questions import QUESTIONS, QuestionClips, QuestionTask

sys.path.insert(0, str(Path(__file__).parent))
from run_of_recipe import RecipeRun

CLIPS, HELD_OUT_CLIPS = 1600, 384
MOVING = replace(WORLD, moving_camera=0.45, some_weather=0.35, other_style=0.4, two_actors=0.15, some_change=0.1)
CONFIG = SmallI3dConfig(heads=tuple((name, count) for name, (count, _) in QUESTIONS.items()))


def stages(settings: Settings) -> list[Stage]:
    work = MiniI3dRun(settings)
    return [
        Stage("clips", 0.08, work.clips), Stage("encoder", 0.92, work.encoder), Stage("export", 0.0, work.export),
    ]  # fmt: skip


class MiniI3dRun(RecipeRun):
    def __init__(self, settings: Settings):
        super().__init__(settings)
        start = settings.options.get("start")
        self.start = None if start is None else Path(start)

    def clips(self, minutes: float) -> dict[str, Any]:
        """Write OUT/clips.npy and OUT/held_out.npy."""
        if processes.first():
            self.training_clips(), self.held_out()
        processes.wait()
        return {}

    def training_clips(self) -> QuestionClips:
        return QuestionClips(
            self.out / "clips.npy", MOVING, range(CLIPS if self.full else 16),
            report=lambda done, total: self.settings.budget.report("rendering", done, total),
        )  # fmt: skip

    def held_out(self) -> QuestionClips:
        few = HELD_OUT_CLIPS if self.full else 8
        return QuestionClips(self.out / "held_out.npy", MOVING, range(HELD_OUT, HELD_OUT + few))

    def network(self) -> SmallI3d:
        torch.manual_seed(0)
        return SmallI3d(CONFIG) if self.start is None else open_small(self.start).requires_grad_(True)

    def encoder(self, minutes: float) -> dict[str, Any]:
        task = QuestionTask(
            self.network(), self.training_clips(), self.held_out(), device=self.device,
            batch=(256 if self.big else 32 if self.full else 4) // processes.count(),
        )  # fmt: skip
        slower = 1.0 if self.start is None else 0.6
        config = self.config("encoder_run", minutes, lr_muon=3e-3 * slower, lr_adam=2e-3 * slower, ema=0.99, bf16=False)
        return train(task, config, self.settings.show) | {"samples": task.samples}

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export: averaged weights in float16, config.json, and card.json with the training record."""
        if not processes.first():
            return {}
        network = self.network()
        load_averaged(self.out / "encoder_run" / "checkpoint.pt", {"network": network})
        card = {
            "name": "kinema-mini-i3d", "license": "Apache-2.0", "recipe": "recipes/mini_i3d.py",
            "training": {
                "device": self.settings.device_name, "processes": processes.count(),
                "stages": run_folder.read(self.out).done,
            },
        }  # fmt: skip
        return export_network(self.out / "export", network, CONFIG.to_dict(), card)
