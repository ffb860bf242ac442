"""kinema-mini-zeroscope: temporal layers on kinema-mini-image, trained on clips of Toyland (UNet3DConditionModel).

    kinema train recipes/mini_zeroscope.py --minutes 60 --processes 2 --out runs/mini_zeroscope
    kinema train recipes/mini_zeroscope.py --set image=runs/mini_image/export --minutes 60 --out runs/mini_zeroscope
    kinema train recipes/mini_zeroscope.py --set layers=all --stage temporal --minutes 40 --out runs/whole

Stages: clips (render Toyland), cache (latents of every frame), temporal, export (a diffusers folder that
TextToVideoSDPipeline and `kinema generate --model FOLDER` open). `--set layers=temporal` (the default: the image model
stays to the bit, Video LDM's way) or `all` (ModelScope's way).
"""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from kinema.evaluation.cases import HELD_OUT
from kinema.sd.inflate import inflate
from kinema.toyland.caption import describe
from kinema.toyland.scene import sample_scene
from kinema.training import processes
from kinema.training.export import edit_json
from kinema.training.frame_latents import FrameLatents, write_frame_latents
from kinema.training.loop import LoopConfig, load_averaged, train
from kinema.training.sheets import sheet, strip
from kinema.training.stages import Settings, Stage
from kinema.training.store import ClipStore, write_shards
from kinema.training.temporal import TemporalTask
from kinema.weights.store import digests

sys.path.insert(0, str(Path(__file__).parent))
from mini_image import FPS, FRAMES, SCHEDULE, SIDE, WORLD, scheduler
from mini_wan_judge import percent, right, singles

IMAGE = Path(__file__).parent.parent / "src" / "kinema" / "miniatures" / "mini_image"
STEPS, GUIDANCE, PICKS = 25, 5.0, (0, 5, 10, 15)
LAYERS = ("temporal", "all")


def stages(settings: Settings) -> list[Stage]:
    run = Run(settings)
    return [
        Stage("clips", 0.02, run.clips),
        Stage("cache", 0.13, run.cache),
        Stage("temporal", 0.85, run.temporal),
        Stage("export", 0.0, run.export),
    ]


class Run:
    """The stages' work in one folder. Every method is called in every process with its minutes."""

    def __init__(self, settings: Settings):
        self.settings, self.out = settings, settings.out
        self.image = Path(settings.options.get("image", IMAGE))
        self.layers = settings.options.get("layers", LAYERS[0])
        if self.layers not in LAYERS:
            raise ValueError(f"layers is one of {', '.join(LAYERS)}, not {self.layers!r}.")
        if not (self.image / "unet" / "config.json").is_file():
            raise ValueError(f"image is the folder of an image model; {self.image} has no unet/config.json.")
        self.device = processes.own_device(settings.device)
        self.big = self.device != "cpu"
        self.full = self.big or settings.minutes >= 10
        torch.set_num_threads(8 if self.big else 1)

    def open_clips(self, name: str = "clips") -> ClipStore:
        return ClipStore(self.out / name)

    def clips(self, minutes: float) -> dict[str, Any]:
        size: dict[str, Any] = {"num_frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS, "device": self.device}
        write_shards(self.out / "held_out", WORLD, range(HELD_OUT, HELD_OUT + (128 if self.full else 8)), **size)
        count = (16_384 if self.big else 4096) if self.full else 32
        write_shards(self.out / "clips", WORLD, range(count), **size)
        return {"clips": len(self.open_clips())}

    def cache(self, minutes: float) -> dict[str, Any]:
        vae = AutoencoderKL.from_pretrained(self.image / "vae", torch_dtype=torch.float32).eval().to(self.device)
        write_frame_latents(vae, self.open_clips("held_out"), self.out / "latents_held_out", self.device)
        write_frame_latents(vae, self.open_clips(), self.out / "latents", self.device)
        return {}

    def parts(self) -> dict[str, Any]:
        """The image model's parts, its UNet inflated; in float32."""
        torch.manual_seed(0)
        image = UNet2DConditionModel.from_pretrained(self.image / "unet", torch_dtype=torch.float32)
        return {
            "unet": inflate(image),
            "text_encoder": CLIPTextModel.from_pretrained(self.image / "text_encoder", dtype=torch.float32),
            "tokenizer": CLIPTokenizer.from_pretrained(self.image / "tokenizer"),
        }

    def temporal(self, minutes: float) -> dict[str, Any]:
        parts = self.parts()
        task = TemporalTask(
            parts["unet"], parts["text_encoder"], parts["tokenizer"], FrameLatents(self.out / "latents", self.device),
            FrameLatents(self.out / "latents_held_out", self.device), WORLD, schedule=SCHEDULE, device=self.device,
            batch=128 if self.big else 8 // processes.count(), whole=self.layers == "all",
        )  # fmt: skip
        task.judge = partial(self.judge, parts)
        config = LoopConfig(
            out=self.out / "temporal_run", minutes=max(minutes, 0.02), device=self.device, bf16=self.big,
            resume=self.settings.resume, final_lr=0.03, decay_from=0.4, ema=0.995, lr_muon=2e-3, lr_adam=1e-3,
            evaluate_minutes=max(1.0, min(10.0, minutes / 4)),
        )  # fmt: skip
        found = train(task, config, self.settings.show)
        return found | {"samples": task.samples} | task.proof()

    def pipeline(self, parts: dict[str, Any]) -> Any:
        from diffusers.pipelines.deprecated.text_to_video_synthesis import TextToVideoSDPipeline

        vae = AutoencoderKL.from_pretrained(self.image / "vae", torch_dtype=torch.float32).eval().to(self.device)
        found = TextToVideoSDPipeline(vae=vae, scheduler=scheduler(), **parts)
        found.set_progress_bar_config(disable=True)
        return found

    @torch.no_grad()
    def judge(self, parts: dict[str, Any], step: int) -> dict[str, Any]:
        """Held-out captions, read by the probes; OUT/sheets/temporal_STEP.png."""
        held_out = self.open_clips("held_out")
        chosen = singles(held_out, WORLD, 16 if self.full else 2)
        scenes = [sample_scene(held_out.seed(index), WORLD) for index in chosen]
        captions = [describe(scene, 0) for scene in scenes]
        made = self.pipeline(parts)(
            captions, num_inference_steps=STEPS if self.full else 4, guidance_scale=GUIDANCE,
            height=SIDE, width=SIDE, num_frames=FRAMES,
            generator=torch.Generator().manual_seed(0), output_type="np",
        ).frames  # fmt: skip
        clips = (np.asarray(made) * 255).round().astype(np.uint8)
        rows = [(text, [strip(clip, PICKS)]) for text, clip in zip(captions, clips, strict=True)]
        sheet(rows, self.out / "sheets" / f"temporal_{step:06d}.png", columns=2)
        return {"probes": percent([right(clip, scene, WORLD) for clip, scene in zip(clips, scenes, strict=True)])}

    def export(self, minutes: float) -> dict[str, Any]:
        """OUT/export: a diffusers folder in float16, with card.json."""
        if not processes.first():
            return {}
        parts, folder = self.parts(), self.out / "export"
        load_averaged(self.out / "temporal_run" / "checkpoint.pt", {"video": parts["unet"]})
        shutil.rmtree(folder, ignore_errors=True)
        self.pipeline(parts).to(torch.float16).save_pretrained(folder)
        edit_json(folder / "text_encoder" / "config.json", dtype="float32", _name_or_path=None)
        for part in ("vae", "unet"):
            edit_json(folder / part / "config.json", _name_or_path=None)
        done = json.loads((self.out / "stages.json").read_text(encoding="utf-8"))
        done.pop("settings", None)
        card = {
            "name": "kinema-mini-zeroscope", "license": "Apache-2.0", "recipe": "recipes/mini_zeroscope.py",
            "native": {"frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS},
            "recommended": {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE},
            "training": {"device": self.settings.device_name, "processes": processes.count(), "stages": done},
            "weights_sha256": digests(folder),
        }  # fmt: skip
        (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        return {"folder": str(folder)}
