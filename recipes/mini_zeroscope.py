"""Train kinema-mini-zeroscope: temporal layers on kinema-mini-image, on clips of Toyland (UNet3DConditionModel).

    kinema train recipes/mini_zeroscope.py --minutes 60 --processes 2 --out runs/mini_zeroscope
    kinema train recipes/mini_zeroscope.py --set image=runs/mini_image/export --minutes 60 --out runs/mini_zeroscope
    kinema train recipes/mini_zeroscope.py --set layers=all --stage temporal --minutes 40 --out runs/whole

Stages: clips (render Toyland), cache (latents of every frame), temporal, export. `--set layers=temporal` (default, as
Video LDM) freezes the image model and exports only temporal layers; `layers=all` (as ModelScope) exports a diffusers
folder for TextToVideoSDPipeline. `kinema generate --model FOLDER` accepts both.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

from kinema.sd import temporal_layers
from kinema.sd.inflate import inflate, is_temporal
from kinema.training.core import processes
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.frozen import everything
from kinema.training.core.loop import train
from kinema.training.core.stages import Settings, Stage
from kinema.training.data.captioner import Captioner
from kinema.training.tasks.temporal import TemporalTask

sys.path.insert(0, str(Path(__file__).parent))
from toyland_sd import FRAMES, OnImage, save, scheduler

LAYERS = {"temporal": is_temporal, "all": everything}


def stages(settings: Settings) -> list[Stage]:
    work = Zeroscope(settings)
    return [
        Stage("clips", 0.02, work.clips),
        Stage("cache", 0.13, work.cache),
        Stage("temporal", 0.85, work.temporal),
        Stage("export", 0.0, work.export),
    ]


class Zeroscope(OnImage):
    name = "kinema-mini-zeroscope"
    options: tuple[str, ...] = ("layers",)
    takes_data = True
    own_side: int | None = None
    """Side of the training clips in px, if it is not the image model's."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        layers = settings.options.get("layers", "temporal")
        if layers not in LAYERS:
            raise ValueError(f"layers must be one of {', '.join(LAYERS)}, got {layers!r}.")
        self.trained = LAYERS[layers]

    def clips(self, minutes: float) -> dict[str, Any]:
        return self.render_all(full=4096, big=16_384, rehearsal=32)

    def cache(self, minutes: float) -> dict[str, Any]:
        return self.encode_all(self.vae())

    def parts(self) -> dict[str, Any]:
        """The image model's parts in float32, with an inflated UNet."""
        torch.manual_seed(0)
        return {"unet": inflate(self.unet()), **self.text()}

    def task(self, parts: dict[str, Any]) -> TemporalTask:
        train_set, held_out, caption_of = self.training_data()
        words = Captioner(parts["tokenizer"], parts["text_encoder"], caption_of, device=self.device)
        return TemporalTask(
            parts["unet"], words, train_set, held_out, schedule=self.schedule, device=self.device,
            **self.task_settings(parts),
        )  # fmt: skip

    def task_settings(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Arguments of TemporalTask: batch size, trained parameters, judge."""
        batch = 64 if self.big else 6 // processes.count()
        return {"batch": batch, "trained": self.trained, "judge": partial(self.judge, parts)}

    def temporal(self, minutes: float) -> dict[str, Any]:
        parts = self.parts()
        self.optimize(parts["unet"])
        task = self.task(parts)
        config = self.config("temporal_run", minutes, ema=0.995, lr_muon=2e-3, lr_adam=1e-3)
        found = train(task, config, self.settings.show)
        return found | {"samples": task.samples} | task.proof()

    def pipeline(self, parts: dict[str, Any]) -> Any:
        from diffusers.pipelines.deprecated.text_to_video_synthesis import TextToVideoSDPipeline

        found = TextToVideoSDPipeline(vae=self.vae(), scheduler=scheduler(), **parts)
        found.set_progress_bar_config(disable=True)
        return found

    def judge(self, parts: dict[str, Any], step: int) -> dict[str, Any]:
        """Score clips of held-out captions; writes OUT/sheets/temporal_STEP.png."""
        return self.judge_clips(partial(self.pipeline, parts), f"temporal_{step:06d}")

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export in float16, with card.json: only temporal layers, or a diffusers folder if all of the
        network was trained."""
        if not processes.first():
            return {}
        parts, folder = self.parts(), self.out / "export"
        load_averaged(self.out / "temporal_run" / "checkpoint.pt", {"video": parts["unet"]})
        if self.trained is is_temporal:
            shutil.rmtree(folder, ignore_errors=True)
            base = str(self.image.resolve()) if "image" in self.settings.options else "kinema-mini-image"
            temporal_layers.write(
                folder, parts["unet"], self.unet(), base=base, num_frames=FRAMES, side_px=self.own_side
            )
        else:
            save(self.pipeline(parts), folder)
        self.card(self.name, folder)
        return {"folder": str(folder)}
