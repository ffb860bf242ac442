"""Train kinema-mini-film from scratch: a small FILM network for frame interpolation on a CPU.

    kinema train recipes/mini_film.py --minutes 45 --out runs/film
    kinema train recipes/mini_film.py --minutes 45 --out runs/film --resume

Three in four triplets are moving layers of textures with exact flow (training/data/moving_pictures.py), one in four is
from Toyland. Times other than the middle are trained too. `--set start=FILE` continues from weights of the same
network.

Stages: pictures (textures, shapes and Toyland clips), film, export (model.safetensors, config.json, card.json).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from kinema.core.whole import whole
from kinema.evaluation.cases import HELD_OUT
from kinema.post.film.config import MINI
from kinema.post.film.network import FilmNetwork
from kinema.toyland.scene import WORLD
from kinema.training.core import processes, run_folder
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import LoopConfig, train
from kinema.training.core.stages import Settings, Stage
from kinema.training.data.moving_pictures import MovingPictures
from kinema.training.data.textures import Bank, make_bank
from kinema.training.tasks.export_network import export_network
from kinema.training.tasks.interpolation import FilmTask, ToylandTriplets, render_triplets

SIDE, CACHED, FRAMES = 128, 160, 9
RATES = (8.0, 12.0, 16.0)
BUSY = replace(WORLD, two_actors=0.6, moving_camera=0.6, some_spin=0.3, some_change=0.25, duration=1.5)
"""Toyland with more motion."""


def stages(settings: Settings) -> list[Stage]:
    work = MiniFilm(settings)
    return [
        Stage("pictures", 0.03, work.pictures), Stage("film", 0.97, work.film), Stage("export", 0.0, work.export),
    ]  # fmt: skip


class MiniFilm:
    def __init__(self, settings: Settings):
        self.settings, self.out = settings, settings.out
        self.device = processes.own_device(settings.device)
        self.full = self.device != "cpu" or settings.minutes >= 10
        start = settings.options.get("start")
        self.start = None if start is None else Path(start)
        torch.set_num_threads(8 if self.device != "cpu" else 1)

    def pictures(self, minutes: float) -> dict[str, Any]:
        """Write OUT/bank.pt, OUT/toyland.npy and OUT/held_out.npy."""
        if processes.first():
            count = 512 if self.full else 32
            self.out.mkdir(parents=True, exist_ok=True)
            with whole(self.out / "bank.pt") as beside:
                torch.save(vars(make_bank(0, 384 if self.full else 28, 256 if self.full else 28)), beside)
            render_triplets(self.out / "toyland.npy", BUSY, range(count), CACHED, FRAMES, RATES)
            held_out = range(HELD_OUT, HELD_OUT + 32)
            render_triplets(self.out / "held_out.npy", BUSY, held_out, SIDE, FRAMES, RATES)
        processes.wait()
        return {}

    def network(self) -> FilmNetwork:
        torch.manual_seed(0)
        network = FilmNetwork(MINI)
        if self.start is not None:
            network.load_state_dict({name: value.float() for name, value in load_file(self.start).items()})
        return network

    def film(self, minutes: float) -> dict[str, Any]:
        bank = Bank(**torch.load(self.out / "bank.pt", weights_only=True))
        toyland = ToylandTriplets(np.load(self.out / "toyland.npy", mmap_mode="r"))
        count = 32 if self.full else 8
        fixed = torch.Generator().manual_seed(HELD_OUT)
        held_out = {
            "textures": MovingPictures(make_bank(HELD_OUT, 28, 28), SIDE).draw(count, fixed),
            "toyland": ToylandTriplets(np.load(self.out / "held_out.npy")).draw(count, fixed, SIDE, middle=True),
        }
        batch = (96 if self.device != "cpu" else 8) // processes.count()
        task = FilmTask(
            self.network(), MovingPictures(bank, SIDE, self.device), toyland, held_out, self.out / "sheets",
            device=self.device, batch=batch, from_toyland=batch // 4, side=SIDE,
        )  # fmt: skip
        slower = 1.0 if self.start is None else 0.5
        config = LoopConfig(
            out=self.out / "film_run", minutes=max(minutes, 0.02), device=self.device, resume=self.settings.resume,
            lr_muon=3e-3 * slower, lr_adam=1.5e-3 * slower, ema=0.99, decay_from=0.4, final_lr=0.02,
            evaluate_minutes=max(1.0, min(7.0, minutes / 3)), budget=self.settings.budget,
        )  # fmt: skip
        return train(task, config, self.settings.show) | {"samples": task.samples}

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export: averaged weights in float16, config.json, and card.json with the training record."""
        if not processes.first():
            return {}
        network = self.network()
        load_averaged(self.out / "film_run" / "checkpoint.pt", {"film": network})
        card = {
            "name": "kinema-mini-film", "license": "Apache-2.0", "recipe": "recipes/mini_film.py",
            "training": {
                "device": self.settings.device_name, "processes": processes.count(),
                "stages": run_folder.read(self.out).done,
            },
        }  # fmt: skip
        return export_network(self.out / "export", network, MINI.to_dict(), card)
