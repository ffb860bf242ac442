"""Train kinema-mini-animatediff: motion modules for kinema-mini-image, in the stages of AnimateDiff's paper (arXiv
2307.04725): a domain adapter on the image model, then the motion modules. The third stage, MotionLoRA, is
`kinema train lora`.

    kinema train recipes/mini_animatediff.py --minutes 90 --processes 2 --out runs/mini_animatediff
    kinema train recipes/mini_animatediff.py --set style=neon --minutes 30 --out runs/neon
    kinema train recipes/mini_animatediff.py --set style=neon --set adapter=off --minutes 30 --out runs/neon_without
    kinema train recipes/mini_animatediff.py --set clips=runs/mini_zeroscope --stage motion --minutes 40 --out runs/m
    kinema train recipes/mini_animatediff.py --set start=runs/m/export --minutes 40 --out runs/on

Stages: clips, cache, domain, motion, export. `--set style=NAME`: drawing style of the clips (default: flat, as for the
image model); captions do not mention it. For other styles a domain adapter is trained first: a LoRA on the image
model's attention that learns the style and is removed after training. `--set adapter=off` omits it, for comparison.
The camera moves in half of the clips, so that a MotionLoRA can amplify it. `--set count=N`: number of clips.
`--set clips=DIR` uses the clips and latents of another recipe, with `count` in addition to new ones. `--set start=DIR`
continues the training of a motion adapter.

`--data FOLDER` trains on your own clips (with captions, as for `kinema train lora`), with any Stable Diffusion 1.5
image model (`--set image=DIR --set side=256`) and always with a domain adapter.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kinema.toyland.scene import STYLES, sample_scene
from kinema.training.core import processes
from kinema.training.core.frozen import freeze_except
from kinema.training.core.loop import train
from kinema.training.core.stages import Settings, Stage
from kinema.training.data.captioner import Captioner
from kinema.training.data.frame_latents import FrameLatents
from kinema.training.tasks import lora
from kinema.training.tasks.export import edit_json
from kinema.training.tasks.image_model import ImageTask
from kinema.training.tasks.temporal import TemporalTask
from kinema.weights import adapters
from kinema.weights.adapter_writer import write

sys.path.insert(0, str(Path(__file__).parent))
from toyland_sd import FRAMES, WORLD, OnImage, scheduler

MOTION = {
    "block_out_channels": (64, 64, 96), "motion_layers_per_block": 1, "motion_mid_block_layers_per_block": 1,
    "motion_num_attention_heads": 4, "motion_norm_num_groups": 32, "motion_max_seq_length": 32,
    "use_motion_mid_block": True,
}  # fmt: skip
DOMAIN_RANK = 16
LATE = 2.0
"""Shift of noise levels towards noise at first (Schedule.draw): 46 % of them are in the last fifth."""
MOVING = 2
"""One clip in so many has a moving camera."""


def shaped_for(image: Any) -> dict[str, Any]:
    """MOTION with the widths and depth of an image model."""
    config = image.config
    return MOTION | {
        "block_out_channels": tuple(config.block_out_channels), "motion_layers_per_block": config.layers_per_block,
    }  # fmt: skip


def is_motion(name: str) -> bool:
    return "motion_modules." in name and "lora" not in name


def stages(settings: Settings) -> list[Stage]:
    work = AnimateDiff(settings)
    domain = [Stage("domain", 0.1, work.domain)] if work.adapter else []
    return [
        Stage("clips", 0.02, work.clips), Stage("cache", 0.12, work.cache), *domain, Stage("motion", 0.8, work.motion),
        Stage("export", 0.0, work.export),
    ]  # fmt: skip


class AnimateDiff(OnImage):
    options = ("style", "adapter", "start")
    takes_data = True

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.style = settings.options.get("style", "flat")
        if self.style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, got {self.style!r}.")
        switch = settings.options.get("adapter", "on")
        if switch not in ("on", "off"):
            raise ValueError(f"adapter must be on or off, got {switch!r}.")
        self.adapter = switch == "on" and (self.style not in WORLD.styles or "data" in settings.options)
        start = settings.options.get("start")
        self.start = None if start is None else Path(start)
        if self.start is not None and not (self.start / "config.json").is_file():
            raise ValueError(f"start must be the folder of a motion adapter; {self.start} has no config.json.")
        self.shown = replace(WORLD, styles=(self.style,))
        self.own = not self.borrowed or "count" in settings.options

    def clips(self, minutes: float) -> dict[str, Any]:
        if not self.own:
            return {}
        return self.render_all(full=2048, big=16_384, rehearsal=32, world=self.shown, seeds=self.often_moving)

    def often_moving(self, count: int) -> list[int]:
        """Seeds of `count` scenes, one in MOVING with a moving camera."""
        moving, still, seed = [], [], 0
        while min(len(moving) * MOVING, len(still) * MOVING // (MOVING - 1)) < count:
            (still if sample_scene(seed, self.shown).camera == "still" else moving).append(seed)
            seed += 1
        return sorted(moving[: count // MOVING] + still[: count - count // MOVING])

    def cache(self, minutes: float) -> dict[str, Any]:
        return self.encode_all(self.vae()) if self.own else {}

    def latents(self, name: str = "latents") -> FrameLatents:
        if name == "latents" and self.borrowed and self.own:
            return FrameLatents(self.data / name, self.out / name, device=self.device)
        return super().latents(name)

    @property
    def domain_file(self) -> Path:
        return self.out / "domain.safetensors"

    def domain(self, minutes: float) -> dict[str, Any]:
        """Train the domain adapter, a LoRA on the image model's attention."""
        unet, text = self.unet(), self.text()
        lora.add(unet, rank=DOMAIN_RANK, alpha=DOMAIN_RANK)
        self.optimize(unet)
        train_set, held_out, caption_of = self.training_data()
        task = ImageTask(
            unet, text["text_encoder"], text["tokenizer"], train_set, held_out, caption_of, schedule=self.schedule,
            device=self.device, batch=256 if self.big else 32 // processes.count(), trained=lora.is_trained, text=False,
        )  # fmt: skip
        found = train(task, self.config("domain_run", minutes, ema=0.98, lr_adam=2e-3), self.settings.show)
        if processes.first():
            write(
                self.domain_file, lora.layers(unet), alpha=DOMAIN_RANK, base="kinema-mini-image",
                title=f"domain adapter: {self.style}",
            )  # fmt: skip
        processes.wait()
        return found | {"samples": task.samples}

    def network(self) -> tuple[Any, Any]:
        """(UNetMotionModel, the MotionAdapter of its motion modules)."""
        from diffusers import MotionAdapter, UNetMotionModel

        torch.manual_seed(0)
        image = self.unet()
        if self.start is None:
            adapter = MotionAdapter(**shaped_for(image))
        else:
            adapter = MotionAdapter.from_pretrained(self.start, torch_dtype=torch.float32, trust_remote_code=False)
        return UNetMotionModel.from_unet2d(image, adapter), adapter

    def use_domain_adapter(self, network: Any, on: bool) -> None:
        """Enable or disable the domain adapter, if there is one."""
        if self.adapter:
            adapters.use(network, ((str(self.domain_file), 1.0),) if on else ())
            freeze_except(network, is_motion)

    def motion(self, minutes: float) -> dict[str, Any]:
        network, _ = self.network()
        self.use_domain_adapter(network, on=True)
        self.optimize(network)
        task = self.task(network, is_motion)
        task.judge = partial(self.judge, network)
        slower = 1.0 if self.start is None else 0.6
        config = self.config("motion_run", minutes, ema=0.995, lr_muon=2e-3 * slower, lr_adam=1e-3 * slower)
        return train(task, config, self.settings.show) | {"samples": task.samples} | task.proof()

    def task(self, network: Any, trained: Any) -> TemporalTask:
        text = self.text()
        train_set, held_out, caption_of = self.training_data()
        words = Captioner(text["tokenizer"], text["text_encoder"], caption_of, device=self.device)
        return TemporalTask(
            network, words, train_set, held_out, schedule=self.motion_schedule, device=self.device, trained=trained,
            late=LATE, text_by_frame=True, few=FRAMES // 2, batch=128 if self.big else 4 // processes.count(),
        )  # fmt: skip

    def pipeline(self, network: Any) -> Any:
        from diffusers import AnimateDiffPipeline, MotionAdapter

        found = AnimateDiffPipeline(
            vae=self.vae(), unet=network, motion_adapter=MotionAdapter(**shaped_for(network)),
            scheduler=scheduler(self.motion_schedule), **self.text(),
        )  # fmt: skip
        found.set_progress_bar_config(disable=True)
        return found.to(self.device)

    def judge(self, network: Any, step: int) -> dict[str, Any]:
        """Score held-out captions without the domain adapter; writes OUT/sheets/motion_STEP.png."""
        self.use_domain_adapter(network, on=False)
        self.optimize(network)
        found = self.judge_clips(partial(self.pipeline, network), f"motion_{step:06d}")
        self.use_domain_adapter(network, on=True)
        self.optimize(network)
        return found

    def trained_network(self) -> tuple[Any, Any]:
        """The network with the averaged motion modules and without a domain adapter, and their MotionAdapter."""
        network, adapter = self.network()
        state = torch.load(self.out / "motion_run" / "checkpoint.pt", map_location="cpu", weights_only=True)
        trained = {key.removeprefix("video."): value for key, value in state["ema"].items()}
        if unknown := network.load_state_dict(trained, strict=False).unexpected_keys:
            raise RuntimeError(f"The checkpoint has a parameter that the network does not have: {unknown[0]}.")
        own = network.state_dict()
        adapter.load_state_dict({name: own[name] for name in adapter.state_dict()})
        return network, adapter

    def before(self) -> dict[str, Any]:
        """The training record of the adapter in `start`, from its card."""
        card = None if self.start is None else self.start / "card.json"
        if card is None or not card.is_file():
            return {}
        return {"before": json.loads(card.read_text(encoding="utf-8"))["training"]}

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export: a MotionAdapter folder in float16, with card.json."""
        if not processes.first():
            return {}
        folder = self.out / "export"
        _, adapter = self.trained_network()
        adapter.to(torch.float16).save_pretrained(folder)
        scheduler(self.motion_schedule).save_pretrained(folder / "scheduler")
        edit_json(folder / "config.json", _name_or_path=None)
        self.card("kinema-mini-animatediff", folder, base="kinema-mini-image", **self.before())
        return {"folder": str(folder)}
