"""The stages of `kinema train lora`: latents, training and export. See lora.py for the settings."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...core.whole import whole
from ...weights.adapter_keys import names_of
from ...weights.adapter_writer import write
from ...weights.device import good_at_bfloat16
from .. import families
from ..core import checkpoints, processes, sharding
from ..core.cpu_unet import optimize_for_cpu
from ..core.frozen import freeze_except
from ..core.loop import LoopConfig, train
from ..core.sheets import sheet, strip
from ..data import buckets
from ..families import Learner
from ..tasks import lora
from ..tasks.temporal import CombinedTasks
from ._lora_options import CROPS, FEW, FEW_HELD_OUT, LR, SAMPLE_STEPS, SMALL, SMALL_LR, LoraOptions


class Lora:
    """The stages of LoRA training; each is called in every process with its minutes."""

    def __init__(self, wanted: LoraOptions) -> None:
        self.wanted, self.settings, self.out, self.number = wanted, wanted.settings, wanted.out, wanted.number
        self.card, self.base, self.frames, self.fps = wanted.card, wanted.base, wanted.frames, wanted.fps
        if wanted.sharded and (why := sharding.why_not()):
            raise ValueError(why)
        self.device = processes.own_device(self.settings.device)
        if self.device == "cpu":
            torch.set_num_threads(1)
        self.clips: list[buckets.Bucket] = []
        self._learner: Learner | None = None

    def cache(self, minutes: float) -> dict[str, Any]:
        side, multiple = self.card.size.trained[0], self.card.size.multiple
        items, found = self.wanted.items(), self.wanted.found
        assert found is not None
        before = len(found.refused)
        self.clips = buckets.fill(
            items, self.learner.encode, self.out / "cache", frames=self.frames, fps=self.fps, multiple=multiple,
            crops=int(self.number["crops"] or (CROPS if len(items) < FEW else 1)),
            area=int(self.number["area"] or side[0] * side[1]), encoder_id=f"{self.card.id} {self.base}",
            on_clip=self.settings.budget.counting("encoding"), on_unreadable=found.mark_unreadable,
        )  # fmt: skip
        found.report_unreadable(before, self.out, self.settings.show)
        return {f"{bucket.width}x{bucket.height}": len(bucket) for bucket in self.clips}

    def train(self, minutes: float) -> dict[str, Any]:
        if not self.clips:
            self.cache(0)
        network = self.network()
        tasks = [self.task(bucket) for bucket in self.clips]
        if not self.wanted.sharded:
            tasks[0].judge = self.write_samples
        steps = int(self.number["steps"])
        config = LoopConfig(
            out=self.out / "run", minutes=max(minutes, 0.001), most_steps=steps, device=self.device, ema=0.98,
            accumulate=int(self.number["accumulate"]),
            bf16=good_at_bfloat16(torch.device(self.device)), resume=self.settings.resume, final_lr=0.03,
            decay_from=0.4, lr_adam=self.lr, warmup_steps=10, evaluate_minutes=self.number["every"] or 1e9,
            optimizer=self.wanted.optimizer, sharded=self.wanted.sharded, seed=self.wanted.seed,
            budget=self.settings.budget,
        )  # fmt: skip
        found = train(CombinedTasks(tasks), config, self.settings.show)
        if processes.first():
            with whole(self.out / "layers.pt") as beside:
                torch.save(lora.layers(network), beside)
        processes.wait()
        return found | tasks[0].proof()

    def write_samples(self, step: int) -> dict[str, Any]:
        """Write samples for the first captions to OUT/sheets/samples_STEP.png."""
        bucket, rows = self.clips[0], []
        chosen = sorted({int(item): row for row, item in reversed(list(enumerate(bucket.item)))}.items())
        for item, row in chosen[: self.samples]:
            caption = self.wanted.caption_of(item, 0, False)
            picture = self.out / "sheets" / "first.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(bucket.first[row].numpy()).save(picture)
            frames = self.learner.sample(
                caption, str(picture), seed=item, frames=self.frames, width=bucket.width, height=bucket.height,
                fps=self.fps, steps=SAMPLE_STEPS // 2 if self.wanted.short else SAMPLE_STEPS, profile="exact",
            )  # fmt: skip
            picks = np.linspace(0, len(frames) - 1, 6).round().astype(int).tolist()
            rows.append((caption, [strip(frames, picks)]))
        if rows:
            sheet(rows, self.out / "sheets" / f"samples_{step:06d}.png", columns=1)
            (self.out / "sheets" / "first.png").unlink()
        return {}

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/lora.safetensors, and other dialects as OUT/lora.DIALECT.safetensors (peft: a folder)."""
        if not processes.first():
            return {}
        layers = checkpoints.read(self.out / "layers.pt")
        notes = {"base": self.card.id, "title": self.out.name}
        if self.base:
            notes["image_model"] = self.base
        if "trigger" in self.settings.options:
            notes["trigger"] = self.settings.options["trigger"]
        files, part = [], families.LEARNERS[self.card.family].part
        for dialect in self.wanted.dialects:
            name = "lora" if dialect == self.wanted.dialects[0] else f"lora.{dialect}"
            target = self.out / (name if dialect == "peft" else f"{name}.safetensors")
            made = write(
                target, layers, alpha=self.wanted.alpha, dialect=dialect, network=part,
                names=names_of(self.card.family), **notes,
            )  # fmt: skip
            files.append(str(made))
        return {"files": json.dumps(files)}

    # -- helpers ---------------------------------------------------------------------------------------------------

    @property
    def lr(self) -> float:
        """The learning rate. Parameters are counted, since a small network may have the card of a published model."""
        count = sum(parameter.numel() for parameter in self.learner.network.parameters())
        return self.number["lr"] or (SMALL_LR if count < SMALL else LR)

    @property
    def samples(self) -> int:
        found = int(self.number["samples"])
        return min(1, found) if self.wanted.short and "samples" not in self.settings.options else found

    @property
    def learner(self) -> Learner:
        if self._learner is None:
            self.settings.budget.report("loading the model")
            self._learner = families.learner(self.card, self.base, self.device, self.frames, self.fps)
        return self._learner

    def network(self) -> Any:
        network = self.learner.network
        where = self.settings.options.get("where", families.LEARNERS[self.card.family].where)
        lora.add(network, rank=int(self.number["rank"]), alpha=self.wanted.alpha, where="" if where == "all" else where,
                 seed=self.wanted.seed)  # fmt: skip
        if self.wanted.checkpointing:
            network.enable_gradient_checkpointing()
            network.train()
        if self.wanted.sharded:
            freeze_except(network, lora.is_trained)
            return sharding.shard(network, self.device)
        unet = families.LEARNERS[self.card.family].part == "unet"
        return optimize_for_cpu(network) if unet and self.device == "cpu" else network

    def task(self, bucket: buckets.Bucket) -> Any:
        train_set, held_out = bucket.split()
        if self.wanted.short:
            held_out = held_out.part(torch.arange(len(held_out))[:FEW_HELD_OUT])
        return self.learner.task(
            train_set, held_out, self.wanted.caption_of, batch=int(self.number["batch"]), drop=self.wanted.drop,
            still=self.wanted.still,
        )  # fmt: skip
