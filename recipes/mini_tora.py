"""Train kinema-mini-tora from scratch on Toyland: a small CogVideoX, then Tora's parts on it.

    kinema train recipes/mini_tora.py --minutes 120 --out runs/mini_tora
    kinema train recipes/mini_tora.py --stage vae --minutes 30 --out runs/mini_tora --resume

Stages: clips (render Toyland), vae, cache (latents of the clips), base (transformer and text encoder), maps (latents of
motion maps), then Tora's stages (arXiv 2407.21705, section 3.3): dense (the flow of the whole frame), sparse (the paths
of objects); export (a diffusers folder with Tora's parts and card.json).
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline

from kinema.core.numerals import integer
from kinema.evaluation.cases import HELD_OUT
from kinema.toyland.caption import describe
from kinema.toyland.scene import sample_scene
from kinema.training.core import processes, run_folder
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import train
from kinema.training.core.sheets import sheet, strip
from kinema.training.core.stages import Settings, Stage
from kinema.training.data import cogvideox_codec
from kinema.training.data.captioner import Captioner, toyland_captions
from kinema.training.data.clip_latents import write_clip_latents
from kinema.training.data.frame_latents import FrameLatents
from kinema.training.data.parallel_vae import to_network
from kinema.training.data.store import fitting, write_shards
from kinema.training.tasks.cogvideox import CogVideoXTask
from kinema.training.tasks.cogvideox_vae import CogVideoXVaeTask, scale_latents
from kinema.training.tasks.ddpm import Schedule
from kinema.training.tasks.tiny_decoder import to_bytes
from kinema.training.tasks.vae import measure_vae

sys.path.insert(0, str(Path(__file__).parent))
from mini_tora_export import write_model
from mini_tora_motion import (
    MotionTask,
    dense_maps,
    errors,
    following,
    mean_and_median,
    paths_px,
    sparse_maps,
    with_path,
)
from mini_tora_networks import FPS, FRAMES, GUIDANCE, PATHS, SIDE, TOKENS, WORLD, new_guidance, new_parts, scheduler
from mini_tora_vae import draw_blobs, new_vae, open_vae
from mini_wan_judge import percent, right, singles
from run_of_recipe import RecipeRun

PICKS = (0, 4, 8, 12, 16)
LOOKED_AT, LOOK_STEPS = 12, 15
REHEARSAL = 2, 2
"""Number of clips in an evaluation, and their steps; the same in a rehearsal of a few seconds."""


def stages(settings: Settings) -> list[Stage]:
    run = Run(settings)
    return [
        Stage("clips", 0.04, run.clips, fixed_cost=run.fixed_cost(0.4)),
        Stage("vae", 0.3, run.vae, fixed_cost=run.fixed_cost(0.1, 2.0)),
        Stage("cache", 0.06, run.cache, fixed_cost=run.fixed_cost(2.0)),
        Stage("base", 0.32, run.base, fixed_cost=run.fixed_cost(2.0, 2.0)),
        Stage("maps", 0.06, run.maps, fixed_cost=run.fixed_cost(3.0)),
        Stage("dense", 0.06, run.dense, fixed_cost=run.fixed_cost(2.0, 3.0)),
        Stage("sparse", 0.16, run.sparse, fixed_cost=run.fixed_cost(2.0, 3.0)),
        Stage("export", 0.0, run.export, fixed_cost=run.fixed_cost(4.0)),
    ]


class Run(RecipeRun):
    def clips(self, minutes: float) -> dict[str, Any]:
        """Render OUT/clips for the autoencoder, OUT/paths for the transformer (`--set count=N`; seeds 0, 1, ...) and
        OUT/held_out."""
        size: dict[str, Any] = {
            "num_frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS, "device": self.device,
            "report": self.settings.budget.counting("rendering"),
        }  # fmt: skip
        usual = 16_384 if self.big else 4096
        count = integer(self.settings.options.get("count", usual)) if self.full else 32
        write_shards(self.out / "held_out", PATHS, range(HELD_OUT, HELD_OUT + (128 if self.full else 8)), **size)
        write_shards(self.out / "clips", WORLD, range(count), **size)
        write_shards(self.out / "paths", PATHS, range(count), **size)
        return {"clips": len(self.open_clips())}

    def vae(self, minutes: float) -> dict[str, Any]:
        vae = new_vae()
        task = CogVideoXVaeTask(
            vae, self.open_clips(), self.open_clips("held_out"), draw_blobs, device=self.device,
            batch_scale=8 if self.big else 1, num_held_out=24 if self.full else 4,
        )  # fmt: skip
        found = train(task, self.config("vae_run", minutes, ema=0.99, lr_muon=3.75e-3, lr_adam=1.5e-3), self.show)
        vae = new_vae()
        load_averaged(self.out / "vae_run" / "checkpoint.pt", {"vae": vae})
        vae.eval().to(self.device)
        deviations = scale_latents(vae, self.open_clips(), self.device, 128 if self.full else 4)
        if not processes.first():
            return {}
        scores = measure_vae(
            vae, self.open_clips("held_out"), self.device, 64 if self.full else 4, codec=cogvideox_codec
        )
        vae.to("cpu").save_pretrained(self.out / "vae")
        self.draw_reconstructions()
        return found | scores | {"deviations": deviations}

    def cache(self, minutes: float) -> dict[str, Any]:
        """Encode held-out clips, and as many of the others as fit the time."""
        began, budget = time.monotonic(), self.settings.budget
        vae, held_out = open_vae(self.out / "vae").to(self.device), self.open_clips("held_out")
        how: dict[str, Any] = {"device": self.device, "bf16": self.low, "report": budget.counting("encoding")}
        write_clip_latents(vae, held_out, self.out / "latents_held_out", **how)
        each_s = (time.monotonic() - began) / len(held_out)
        with budget.shortening():
            limit = fitting(budget, len(self.open_clips("paths")), each_s)
            write_clip_latents(vae, self.open_clips("paths"), self.out / "latents", limit=limit, **how)
        return {"clips": len(self.latents())}

    def latents(self, name: str = "latents") -> FrameLatents:
        return FrameLatents(self.out / name, device=self.device)

    def words(self, parts: dict[str, Any]) -> Captioner:
        return Captioner(parts["tokenizer"], parts["text_encoder"], toyland_captions(PATHS), device=self.device)

    def base(self, minutes: float) -> dict[str, Any]:
        """Train the transformer with its text encoder, without paths."""
        parts = new_parts()
        task = CogVideoXTask(
            parts["transformer"], self.words(parts), self.latents(), self.latents("latents_held_out"),
            schedule=Schedule.of(scheduler()), device=self.device, batch=256 if self.big else 32,
            judge=partial(self.judge, parts, "base"),
        )  # fmt: skip
        config = self.config("base_run", minutes, ema=0.997, lr_muon=2.4e-3, lr_adam=1.2e-3, decay_from=0.4)
        return train(task, config, self.show) | {"samples": task.samples}

    def trained_parts(self) -> dict[str, Any]:
        """Transformer and text encoder with the averaged weights of the base run, and the tokenizer."""
        parts = new_parts()
        networks = {name: parts[name] for name in ("transformer", "text_encoder")}
        load_averaged(self.out / "base_run" / "checkpoint.pt", networks)
        return parts

    def maps(self, minutes: float) -> dict[str, Any]:
        """Encode motion maps: dense ones of a quarter of the clips, sparse ones of all."""
        vae, found = open_vae(self.out / "vae").to(self.device), {}
        for name in ("held_out", "clips"):
            latents = self.latents("latents_held_out" if name == "held_out" else "latents")
            store = self.open_clips("held_out" if name == "held_out" else "paths")
            for kind, take in (("dense", dense_maps(store, PATHS)), ("sparse", sparse_maps(store))):
                share = 4 if (kind, name) == ("dense", "clips") and len(latents) > 1000 else 1
                write_clip_latents(
                    vae, store, self.out / f"{kind}_{name}", self.device, limit=len(latents) // share, bf16=self.low,
                    take=take, report=self.settings.budget.counting("encoding"),
                )  # fmt: skip
                found[f"{kind}_{name}"] = len(latents) // share
        return found

    def motion_task(self, kind: str, parts: dict[str, Any], guidance: Any) -> MotionTask:
        return MotionTask(
            parts, guidance, self.words(parts), toyland_captions(PATHS),
            (self.latents(), self.latents(f"{kind}_clips")),
            (self.latents("latents_held_out"), self.latents(f"{kind}_held_out")), stage=kind,
            schedule=Schedule.of(scheduler()), device=self.device, batch=256 if self.big else 32,
            judge=partial(self.judge_paths, parts, guidance, kind),
        )  # fmt: skip

    def dense(self, minutes: float) -> dict[str, Any]:
        """Tora's first stage: fusers and extractor learn from dense optical flow."""
        parts = self.trained_parts()
        task = self.motion_task("dense", parts, new_guidance(parts["transformer"]))
        config = self.config("dense_run", minutes, ema=0.99, lr_muon=4e-3, lr_adam=2e-3, decay_from=0.8, final_lr=0.5)
        return train(task, config, self.show) | {"samples": task.samples}

    def sparse(self, minutes: float) -> dict[str, Any]:
        """Tora's second stage: from the paths of objects."""
        parts = self.trained_parts()
        guidance = new_guidance(parts["transformer"])
        load_averaged(self.out / "dense_run" / "checkpoint.pt", {"guidance": guidance})
        task = self.motion_task("sparse", parts, guidance)
        config = self.config("sparse_run", minutes, ema=0.995, lr_muon=3e-3, lr_adam=1.5e-3, decay_from=0.3)
        return train(task, config, self.show) | {"samples": task.samples}

    @torch.no_grad()
    def judge_paths(self, parts: dict[str, Any], guidance: Any, name: str, step: int) -> dict[str, Any]:
        """Return trajectory errors of held-out clips, with their paths and without; writes OUT/sheets/NAME_STEP.png."""
        clips, steps = (LOOKED_AT, LOOK_STEPS) if self.full else REHEARSAL
        held_out = self.open_clips("held_out")
        paths = [paths_px(held_out, index) for index in range(len(held_out))]
        chosen = [index for index, each in enumerate(paths) if each][:clips]
        scenes = [sample_scene(held_out.seed(index), PATHS) for index in chosen]
        true = [held_out.track(index)[0] + 0.5 for index in chosen]
        pipeline, captions = self.pipeline(parts), [describe(scene, 0) for scene in scenes]
        free = self.sampled(pipeline, captions, steps)
        with following(pipeline, guidance, [paths[index] for index in chosen]):
            made = self.sampled(pipeline, captions, steps)
        rows = [
            (text, [strip(with_path(clip, path), PICKS)])
            for text, clip, path in zip(captions, made, true, strict=True)
        ]  # fmt: skip
        sheet(rows, self.out / "sheets" / f"{name}_{step:06d}.png", columns=2)
        return {
            "path_error": mean_and_median(errors(made, scenes, true)),
            "free_error": mean_and_median(errors(free, scenes, true)),
        }

    def sampled(self, pipeline: CogVideoXPipeline, captions: list[str], steps: int) -> np.ndarray:
        """Sample clips, uint8 (B, F, H, W, 3)."""
        made = pipeline(
            captions, height=SIDE, width=SIDE, num_frames=FRAMES, num_inference_steps=steps, guidance_scale=GUIDANCE,
            max_sequence_length=TOKENS, generator=torch.Generator().manual_seed(0), output_type="np",
        ).frames  # fmt: skip
        return np.round(np.asarray(made) * 255).astype(np.uint8)

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export: CogVideoX's folder with Tora's parts, in float16, and card.json."""
        if not processes.first():
            return {}
        parts = self.trained_parts()
        guidance = new_guidance(parts["transformer"])
        load_averaged(self.out / "sparse_run" / "checkpoint.pt", {"guidance": guidance})
        vae = AutoencoderKLCogVideoX.from_pretrained(self.out / "vae", trust_remote_code=False)
        done = run_folder.read(self.out).done
        training = {"device": self.settings.device_name, "processes": processes.count(), "stages": done}
        return write_model(self.out / "export", vae=vae, guidance=guidance, training=training, **parts)

    def pipeline(self, parts: dict[str, Any]) -> CogVideoXPipeline:
        found = CogVideoXPipeline(vae=open_vae(self.out / "vae"), scheduler=scheduler(), **parts)
        found.set_progress_bar_config(disable=True)
        return found.to(self.device)

    @torch.no_grad()
    def judge(self, parts: dict[str, Any], name: str, step: int) -> dict[str, Any]:
        """Score samples of held-out captions with the probes; writes OUT/sheets/NAME_STEP.png."""
        clips, steps = (LOOKED_AT, LOOK_STEPS) if self.full else REHEARSAL
        held_out = self.open_clips("held_out")
        scenes = [sample_scene(held_out.seed(index), PATHS) for index in singles(held_out, PATHS, clips)]
        captions = [describe(scene, 0) for scene in scenes]
        frames = self.sampled(self.pipeline(parts), captions, steps)
        rows = [(text, [strip(clip, PICKS)]) for text, clip in zip(captions, frames, strict=True)]
        sheet(rows, self.out / "sheets" / f"{name}_{step:06d}.png", columns=2)
        return {"probes": percent([right(clip, scene, PATHS) for clip, scene in zip(frames, scenes, strict=True)])}

    def show(self, event: dict[str, Any]) -> None:
        self.settings.show(event)

    @torch.no_grad()
    def draw_reconstructions(self) -> None:
        """Write OUT/sheets/reconstructions.png: held-out clips above their reconstructions, drawn motion too."""
        vae, held_out, rows = open_vae(self.out / "vae"), self.open_clips("held_out"), []
        count = 8 if self.full else 1
        frames_BFHWC, _ = held_out.take(list(range(count)))
        tracks = torch.stack([torch.from_numpy(held_out.track(one)) for one in range(count)])
        drawn = draw_blobs(tracks, torch.Generator().manual_seed(0))
        for name, pixels in (("clip", to_network(frames_BFHWC)), ("motion", drawn)):
            again = cogvideox_codec.decode(vae, cogvideox_codec.encode(vae, pixels)[0])
            for index, both in enumerate(zip(pixels, again, strict=True)):
                pictures = [strip(to_bytes(one[None])[0].permute(1, 2, 3, 0).numpy(), PICKS) for one in both]
                rows.append((f"{name} {index}", pictures))
        sheet(rows, self.out / "sheets" / "reconstructions.png", columns=2)
