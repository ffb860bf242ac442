"""An adapter of low rank from a folder of clips: a camera move for AnimateDiff (a MotionLoRA, arXiv 2307.04725, section
3.3), a motion, a look or a subject for AnimateDiff, models of Zeroscope's kind, Stable Video Diffusion, or Wan.

    kinema train lora --data clips/ --set model=kinema-mini-animatediff --set steps=400 --minutes 10 --out runs/pan
    kinema generate "a red ball in a meadow" --model kinema-mini-animatediff --style runs/pan/lora.safetensors:1

Settings (`--set NAME=VALUE`): model, base (the image model), rank (8), alpha (the rank), steps (at most, 500), batch
(2), accumulate (1: batches a step), lr (1e-4, for miniatures 0.004), where (a part of layers' names: what moves in a
UNet, all attention of Wan; "all": every attention layer), still (0.1 where what moves learns, else 1: weight of what
does not tell forwards from backwards), crops (4 for fewer than 100 clips, else 1: cuts of each clip), frames, fps, area
(px), drop (share of captions left out: 0.5 where what moves learns, else 0.1), trigger (a word put before every
caption), dialect (diffusers, peft, kohya, comfyui, or several with +), checkpointing (off or on: less memory, a third
more time), optimizer (adamw, or adamw8bit with bitsandbytes), shard (off or on: the frozen weights spread over the
processes, for models that one GPU cannot hold; no samples then), seed (0: of the adapter's start, the noise and
the order of clips; the same seed and settings give the same file on one machine's CPU, where the steps end the run and
not the clock), samples (2: clips of the first captions, on a sheet) and every (so many minutes; 0: only at the end).

Stages: data (what is used and what is not), cache (latents, checked by hash), train, export (lora.safetensors; rank,
alpha, base and trigger in its metadata).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kinema.core.errors import RequestError
from kinema.core.extras import install_command
from kinema.core.whole import whole
from kinema.sd import bases
from kinema.weights.adapter_keys import names_of
from kinema.weights.adapter_writer import DIALECTS, write
from kinema.weights.device import good_at_bfloat16

from .. import families
from ..core import checkpoints, optimizers, processes, sharding
from ..core.frozen import leave
from ..core.loop import LoopConfig, train
from ..core.quicken import quicken
from ..core.sheets import sheet, strip
from ..core.stages import Settings, Stage
from ..data import buckets, own_clips
from ..families import Learner
from ..tasks import lora
from ..tasks.temporal import Several

NUMBERS = {
    "rank": (int, 8, 1, 256), "alpha": (int, 0, 0, 1024), "steps": (int, 500, 1, 1_000_000), "batch": (int, 2, 1, 1024),
    "accumulate": (int, 1, 1, 1024), "samples": (int, 2, 0, 64), "every": (float, 0.0, 0.0, 1e6),
    "lr": (float, 0.0, 1e-7, 1.0), "frames": (int, 0, 0, 256), "fps": (float, 0.0, 0.0, 240.0),
    "area": (int, 0, 0, 4096 * 4096), "drop": (float, -1.0, 0.0, 1.0),
    "crops": (int, 0, 0, 64), "still": (float, 0.0, 0.001, 1.0), "seed": (int, 0, 0, 2**31 - 1),
}  # fmt: skip
"""Kind, default (0, or less: what suits the model), least and most."""
LR, SMALL_LR, SMALL = 1e-4, 0.004, 50_000_000
"""Rates for networks of published size (those of the papers) and for ones of fewer than SMALL parameters (measured on
the miniatures)."""
DROP, MOTION_DROP = 0.1, 0.5
"""Share of captions left out; of what a motion learns, half is to hold for every caption."""
WORDS = ("data", "model", "base", "where", "trigger", "dialect", "checkpointing", "optimizer", "shard")
SAMPLE_STEPS = 12
FEW, CROPS = 100, 4
"""Fewer clips than FEW are seen in CROPS cuts each, so that their places are not learnt by heart."""


def stages(settings: Settings) -> list[Stage]:
    work = Lora(settings)
    return [
        Stage("data", 0.0, work.look), Stage("cache", 0.2, work.cache),
        Stage("train", 0.8, work.train, follows=("minutes", "steps", "samples", "every", "checkpointing")),
        Stage("export", 0.0, work.export, follows=("dialect",)),
    ]  # fmt: skip


class Lora:
    """The stages' work. Whatever is wrong with the settings is said before anything is done."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.out = settings, settings.out
        options = settings.options
        if unknown := [name for name in options if name not in (*NUMBERS, *WORDS)]:
            raise ValueError(f"There is no setting {unknown[0]!r}; there are {', '.join((*WORDS, *NUMBERS))}.")
        if "data" not in options:
            raise ValueError("A folder of clips is needed: --data FOLDER.")
        self.number = {name: _number(name, options.get(name)) for name in NUMBERS}
        self.dialects = options.get("dialect", "diffusers").split("+")
        self.checkpointing, self.sharded = _switch(options, "checkpointing"), _switch(options, "shard")
        if self.sharded and (why := sharding.why_not()):
            raise ValueError(why)
        self.optimizer = options.get("optimizer", "adamw")
        if why := optimizers.why_not(self.optimizer):
            raise ValueError(why)
        if wrong := [name for name in self.dialects if name not in DIALECTS]:
            raise ValueError(f"There is no dialect {wrong[0]!r}; legal are {', '.join(DIALECTS)}, joined with +.")
        if importlib.util.find_spec("peft") is None:
            raise ValueError(f"Adapters are trained with PEFT, which is not installed: {install_command('lora')}")
        self.device = processes.own_device(settings.device)
        if self.device == "cpu":
            torch.set_num_threads(1)
        self.card = self._card(options.get("model", "kinema-mini-animatediff"))
        self.base = options.get("base") or (
            str(self.card.options["base"].default) if "base" in self.card.options else ""
        )
        if self.base:
            self.card = bases.with_base(self.base, self.card)
        self.frames = int(self.number["frames"] or self.card.frames.trained)
        self.fps = self.number["fps"] or self.card.defaults.fps
        if why := families.why_not(self.card, self.frames, self.checkpointing):
            raise ValueError(why)
        if not Path(options["data"]).is_dir():
            raise ValueError(f"There is no folder {options['data']}.")
        self.found: own_clips.Found | None = None
        self.clips: list[buckets.Bucket] = []
        self._learner: Learner | None = None

    def _card(self, name: str) -> Any:
        from kinema.weights import store

        try:
            return store.find(name)
        except RequestError as error:
            raise ValueError(str(error)) from None

    # -- the stages ------------------------------------------------------------------------------------------------

    def look(self, minutes: float) -> dict[str, Any]:
        """What is in the folder; OUT/data.txt."""
        folder = Path(self.settings.options["data"])
        self.found = own_clips.find(folder, self.out / "unpacked", frames=self.frames, fps=self.fps)
        return self.found.tell(folder, self.out, self.settings.show)

    def cache(self, minutes: float) -> dict[str, Any]:
        def told(done: int, count: int) -> None:
            if done % 10 == 0 or done == count:
                self.settings.show({"event": "encoded", "clips": f"{done} of {count}"})

        side, multiple = self.card.size.trained[0], self.card.size.multiple
        items, found = self.items(), self.found
        assert found is not None
        before = len(found.refused)
        self.clips = buckets.fill(
            items, self.learner.encode, self.out / "cache", frames=self.frames, fps=self.fps, multiple=multiple,
            crops=int(self.number["crops"] or (CROPS if len(items) < FEW else 1)),
            area=int(self.number["area"] or side[0] * side[1]), of=f"{self.card.id} {self.base}", on_clip=told,
            on_spoilt=found.spoil,
        )  # fmt: skip
        found.tell_spoilt(before, self.out, self.settings.show)
        return {f"{bucket.width}x{bucket.height}": len(bucket) for bucket in self.clips}

    def train(self, minutes: float) -> dict[str, Any]:
        if not self.clips:
            self.cache(0)
        network = self.network()
        tasks = [self.task(bucket) for bucket in self.clips]
        if not self.sharded:
            tasks[0].judge = self.look_at
        steps = int(self.number["steps"])
        config = LoopConfig(
            out=self.out / "run", minutes=max(minutes, 0.02), most_steps=steps, device=self.device, ema=0.98,
            accumulate=int(self.number["accumulate"]),
            bf16=good_at_bfloat16(torch.device(self.device)), resume=self.settings.resume, final_lr=0.03,
            decay_from=0.4, lr_adam=self.lr, warmup_steps=10, evaluate_minutes=self.number["every"] or 1e9,
            optimizer=self.optimizer, sharded=self.sharded, seed=self.seed,
        )  # fmt: skip
        found = train(Several(tasks), config, self.settings.show)
        if processes.first():
            with whole(self.out / "layers.pt") as beside:
                torch.save(lora.layers(network), beside)
        processes.wait()
        return found | tasks[0].proof()

    def look_at(self, step: int) -> dict[str, Any]:
        """Samples of the first captions beside their clips: OUT/sheets/samples_STEP.png."""
        bucket, rows = self.clips[0], []
        chosen = sorted({int(item): row for row, item in reversed(list(enumerate(bucket.item)))}.items())
        for item, row in chosen[: int(self.number["samples"])]:
            caption = self.tell(item, 0, False)
            picture = self.out / "sheets" / "first.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(bucket.first[row].numpy()).save(picture)
            frames = self.learner.sample(
                caption, str(picture), seed=item, frames=self.frames, width=bucket.width, height=bucket.height,
                fps=self.fps, steps=SAMPLE_STEPS, profile="exact",
            )  # fmt: skip
            picks = np.linspace(0, len(frames) - 1, 6).round().astype(int).tolist()
            rows.append((caption, [strip(frames, picks)]))
        if rows:
            sheet(rows, self.out / "sheets" / f"samples_{step:06d}.png", columns=1)
            (self.out / "sheets" / "first.png").unlink()
        return {}

    def export(self, minutes: float) -> dict[str, Any]:
        """OUT/lora.safetensors; other dialects as OUT/lora.DIALECT.safetensors (peft: a folder)."""
        if not processes.first():
            return {}
        layers = checkpoints.read(self.out / "layers.pt")
        notes = {"base": self.card.id, "title": self.out.name}
        if self.base:
            notes["image_model"] = self.base
        if "trigger" in self.settings.options:
            notes["trigger"] = self.settings.options["trigger"]
        files, part = [], families.LEARNERS[self.card.family].part
        for dialect in self.dialects:
            name = "lora" if dialect == self.dialects[0] else f"lora.{dialect}"
            target = self.out / (name if dialect == "peft" else f"{name}.safetensors")
            made = write(
                target,
                layers,
                alpha=self.alpha,
                dialect=dialect,
                network=part,
                names=names_of(self.card.family),
                **notes,
            )
            files.append(str(made))
        return {"files": json.dumps(files)}

    # -- their parts -----------------------------------------------------------------------------------------------

    @property
    def alpha(self) -> int:
        return int(self.number["alpha"] or self.number["rank"])

    @property
    def seed(self) -> int:
        return int(self.number["seed"])

    @property
    def still(self) -> float:
        kind = families.LEARNERS[self.card.family]
        own = kind.still if self.settings.options.get("where", kind.where) == kind.where else 1.0
        return self.number["still"] or own

    @property
    def drop(self) -> float:
        given = self.number["drop"]
        return given if given >= 0 else MOTION_DROP if self.still < 1 else DROP

    @property
    def lr(self) -> float:
        """Counted, not read off the card: an adapter of unpublished shape has the card of a published one."""
        count = sum(parameter.numel() for parameter in self.learner.network.parameters())
        return self.number["lr"] or (SMALL_LR if count < SMALL else LR)

    def items(self) -> list[own_clips.Item]:
        if self.found is None:
            self.look(0)
        assert self.found is not None
        return self.found.items

    @property
    def learner(self) -> Learner:
        if self._learner is None:
            self._learner = families.learner(self.card, self.base, self.device, self.frames, self.fps)
        return self._learner

    def network(self) -> Any:
        network = self.learner.network
        where = self.settings.options.get("where", families.LEARNERS[self.card.family].where)
        lora.add(network, rank=int(self.number["rank"]), alpha=self.alpha, where="" if where == "all" else where,
                 seed=self.seed)  # fmt: skip
        if self.checkpointing:
            network.enable_gradient_checkpointing()
            network.train()
        if self.sharded:
            leave(network, lora.is_trained)
            return sharding.shard(network, self.device)
        return (
            quicken(network) if self.device == "cpu" and families.LEARNERS[self.card.family].part == "unet" else network
        )

    def tell(self, number: int, wording: int, place: bool) -> str:
        """The caption of an item, the trigger before it."""
        trigger = self.settings.options.get("trigger", "")
        return ", ".join(part for part in (trigger, self.items()[number].caption) if part)

    def task(self, bucket: buckets.Bucket) -> Any:
        taught, held_out = bucket.apart()
        return self.learner.task(
            taught, held_out, self.tell, batch=int(self.number["batch"]), drop=self.drop, still=self.still
        )


def _switch(options: dict[str, str], name: str) -> bool:
    given = options.get(name, "off")
    if given not in ("on", "off"):
        raise ValueError(f"{name} is on or off, not {given!r}.")
    return given == "on"


def _number(name: str, given: str | None) -> float:
    kind, default, least, most = NUMBERS[name]
    if given is None:
        return default
    try:
        value = kind(given)
    except ValueError:
        raise ValueError(f"{name} is a number, not {given!r}.") from None
    if not least <= value <= most:
        raise ValueError(f"{name} = {given}: legal is {least} to {most}.")
    return value
