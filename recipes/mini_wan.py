"""Train kinema-mini-wan from scratch on Toyland: an AutoencoderKLWan, a UMT5 encoder and a WanVACETransformer3DModel.

    kinema train recipes/mini_wan.py --device cuda --minutes 25 --out runs/mini_wan       # the large edition
    kinema train recipes/mini_wan.py --minutes 150 --processes 2 --out runs/mini_wan      # the small one, on two cores
    kinema train recipes/mini_wan.py --stage vae --minutes 45 --out runs/mini_wan --resume
    kinema train recipes/mini_wan.py --set start=runs/mini_wan/export --minutes 120 --out runs/longer

`--set start=DIR` continues the training of a finished model, except its VAE and tiny decoder. `--set vae_start=DIR/vae`
continues the training of a VAE, wider with `--set vae_decoder_base=32` (mini_wan_vae.py). `--set moving_camera=0.35`
trains on clips of which that share has a moving camera, `--set two_actors=0.5` two objects; `--set first_seed=1000000`
on scenes from that seed on (default 0: with `start`, scenes that the model has seen); `--set rate=0.4` at another
factor on the learning rates than 0.75.

Stages: clips (render Toyland), vae, decoder (further training of the decoder; latents stay valid), tiny (the tiny
decoder), cache (latents of clips and conditions), video (transformer and text encoder; single frames first), few_step
(the distilled student), export (a diffusers folder with card and sheets).
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanVACEPipeline, WanVACETransformer3DModel
from transformers import AutoTokenizer, UMT5EncoderModel

from kinema.evaluation.cases import HELD_OUT
from kinema.training.core import processes, run_folder
from kinema.training.core.budget import NOTHING, FixedCost
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import LoopConfig, train
from kinema.training.core.settings import number as option
from kinema.training.core.stages import Settings, Stage
from kinema.training.data import parallel_vae
from kinema.training.data.condition_kinds import TARGETS
from kinema.training.data.latents import LatentStore, write_latents
from kinema.training.data.store import ClipStore, fitting, write_shards
from kinema.training.tasks.export import export_pipeline
from kinema.training.tasks.samples import Sampler, task_sheet, text_sheet
from kinema.training.tasks.tiny_decoder import train_tiny_decoder
from kinema.training.tasks.vae import DecoderTask, VaeTask, measure_drift, measure_vae, set_latent_statistics
from kinema.training.tasks.video import WARM_UP, VideoTask

sys.path.insert(0, str(Path(__file__).parent))
from mini_wan_card import write_card
from mini_wan_editions import EDITIONS, SHARES, Edition, with_shares
from mini_wan_judge import gate, judge, passes
from mini_wan_networks import GUIDANCE, SHIFT, STEPS, new_parts, scheduler
from mini_wan_student import train_student
from mini_wan_vae import decoder_for, new_vae, number, open_vae, resized, vae_start, widened

AGAIN = 0.75
"""Factor on the default learning rates with `start`, unless `--set rate` gives one."""
CLIPS_PER_MINUTE = 60
"""Number of clips per minute of the budget on a CPU."""


def stages(settings: Settings) -> list[Stage]:
    """Return the stages. `--set edition=small|large` (default: small on a CPU, large on a GPU)."""
    name = settings.options.get("edition", "small" if settings.device == "cpu" else "large")
    if name not in EDITIONS:
        raise ValueError(f"edition must be one of {', '.join(EDITIONS)}, got {name!r}.")
    edition = resized(EDITIONS[name], settings.options)
    edition = with_shares(
        edition, {name: number(settings.options, name) for name in SHARES if name in settings.options}
    )  # fmt: skip
    run = Run(settings, edition)
    if run.start is not None and run.again is None:
        return [
            Stage("clips", 0.01, run.clips),
            Stage("keep", 0.0, run.keep),
            Stage("cache", 0.10, run.cache),
            Stage("video", 0.65, run.video),
            Stage("few_step", 0.24, run.few_step),
            Stage("export", 0.0, run.export),
        ]
    return [
        Stage("clips", 0.04, run.clips, fixed_cost=run.fixed_cost(0.4)),
        Stage("vae", 0.33, run.vae, fixed_cost=run.fixed_cost(0.1, 2.7)),
        Stage("decoder", 0.06, run.decoder, fixed_cost=run.fixed_cost(0.1, 1.3)),
        Stage("tiny", 0.05, run.tiny, fixed_cost=run.fixed_cost(1.4, 0.1)),
        Stage("cache", 0.06, run.cache, fixed_cost=run.fixed_cost(0.3)),
        Stage("video", 0.40, run.video, fixed_cost=run.fixed_cost(1.9, 3.4)),
        Stage("few_step", 0.08, run.few_step, fixed_cost=run.fixed_cost(4.7, 7.4)),
        Stage("export", 0.0, run.export, fixed_cost=run.fixed_cost(2.2)),
    ]


class Run:
    """The stages of a run. Each is called in every process with its minutes."""

    def __init__(self, settings: Settings, edition: Edition):
        self.settings, self.edition, self.out = settings, edition, settings.out
        self.device = processes.own_device(settings.device)
        self.big = self.device != "cpu"
        self.full = self.big or settings.minutes >= 10
        self.shape = (edition.frames, edition.side, edition.side)
        self.start = Path(settings.options["start"]) if "start" in settings.options else None
        if self.start is not None and not (self.start / "model_index.json").is_file():
            raise ValueError(f"start must be the folder of a finished model; {self.start} has no model_index.json.")
        self.again = vae_start(settings.options, edition)
        last = HELD_OUT - edition.most_clips
        self.first_seed = int(option("first_seed", settings.options.get("first_seed"), (int, 0, 0, last)))
        again = 1.0 if self.start is None else AGAIN
        self.rate = option("rate", settings.options.get("rate"), (float, again, 0.0, 4.0))
        torch.set_num_threads(8 if self.big else 1)

    def fixed_cost(self, before_s: float, after_s: float = 0.0) -> FixedCost:
        """The fixed cost of a stage in a rehearsal, as measured on one core."""
        return NOTHING if self.full else FixedCost(before_s, after_s)

    def config(self, name: str, minutes: float, **changes: Any) -> LoopConfig:
        values: dict[str, Any] = {
            "device": self.device, "bf16": self.big, "resume": self.settings.resume, "final_lr": 0.02,
            "evaluate_minutes": max(1.0, min(12.0, minutes / 4)), "decay_from": 0.3, "budget": self.settings.budget,
        }  # fmt: skip
        return LoopConfig(out=self.out / name, minutes=max(minutes, 0.02), **{**values, **changes})

    def open_clips(self, name: str = "clips") -> ClipStore:
        return ClipStore(self.out / name)

    def open_latents(self, name: str = "latents") -> LatentStore:
        return LatentStore(self.out / name, self.shape, self.device)

    def clips(self, minutes: float) -> dict[str, Any]:
        """Render training clips (from first_seed on) and 256 held-out ones."""
        edition = self.edition
        most = edition.most_clips if self.big else int(CLIPS_PER_MINUTE * self.settings.minutes)
        count = min(edition.most_clips, max(32, most))
        size: dict[str, Any] = {
            "num_frames": edition.frames, "height": edition.side, "width": edition.side, "fps": edition.fps,
            "report": self.settings.budget.counting("rendering"),
        }  # fmt: skip
        held_out = range(HELD_OUT, HELD_OUT + (256 if count > 1000 else 16))
        write_shards(self.out / "held_out", edition.world, held_out, device=self.device, **size)
        limit = minutes if self.big else None
        seeds = range(self.first_seed, self.first_seed + count)
        write_shards(self.out / "clips", edition.world, seeds, device=self.device, minutes=limit, **size)
        return {"clips": len(self.open_clips())}

    def vae_task(self, kind: type[VaeTask], vae: AutoencoderKLWan, **changes: Any) -> VaeTask:
        return kind(
            vae, self.open_clips(), self.open_clips("held_out"), device=self.device,
            batch_scale=self.edition.vae_scale, num_held_out=min(48, self.held_out_count()), **changes,
        )  # fmt: skip

    def vae(self, minutes: float) -> dict[str, Any]:
        self.compile_norms(minutes)
        again = self.again
        rate, changes = 1.0, {}
        if again is None:
            task = self.vae_task(VaeTask, new_vae(self.edition))
        else:
            near = open_vae(again.near).float() if again.anchor else None
            task = self.vae_task(
                VaeTask, widened(again.start, self.edition), edges=again.edges, anchor=near, anchor_weight=again.anchor
            )
            rate, changes = again.rate, {"bf16": self.big or again.bf16}
        rates = {"lr_muon": rate * 3.75e-3, "lr_adam": rate * 1.5e-3}
        found = train(task, self.config("vae_run", minutes, ema=0.99, **rates, **changes), self.settings.show)
        return self.finish_vae(found)

    def compile_norms(self, minutes: float) -> None:
        """Compile norms, on a CPU only in trainings long enough to save more than the minute of compilation."""
        parallel_vae.compiled = self.big or (minutes > 10 and shutil.which("g++") is not None)

    def finish_vae(self, found: dict[str, Any]) -> dict[str, Any]:
        """Write the averaged weights and latent statistics to out/vae; returns held-out scores and the gate's result.
        found: the last evaluation of the same weights."""
        vae = new_vae(self.edition)
        load_averaged(self.out / "vae_run" / "checkpoint.pt", {"vae": vae})
        vae.eval().to(self.device)
        count = 256 if self.held_out_count() > 8 else 16 if self.full else 4
        set_latent_statistics(vae, self.open_clips(), self.device, count)
        if not processes.first():
            return {}
        before = None if self.again is None else open_vae(self.again.near).float().to(self.device)
        scores = self.measure(vae, before, known=found)
        if before is not None and before.config.base_dim == vae.config.base_dim:
            joined = decoder_for(before, vae).to(self.device)
            scores["old_latents"] = self.measure(joined, before, "old_latents")
            joined.to("cpu").save_pretrained(self.out / "vae_old_latents")
        vae.to("cpu").save_pretrained(self.out / "vae")
        return scores

    def measure(
        self, vae: AutoencoderKLWan, before: AutoencoderKLWan | None = None, name: str = "reconstructions",
        known: dict[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Measure held-out PSNR and the probes on reconstructions; with an earlier VAE also the distance of latents. A
        rehearsal uses few clips and the PSNR of `known`."""
        self.settings.budget.report("evaluating")
        held_out, count = self.open_clips("held_out"), self.held_out_count()
        if known is not None and not self.full:
            scores = {name: known[name] for name in ("psnr_db", "psnr_objects_db", "latent_rms_by_frame")}
        else:
            scores = measure_vae(vae, held_out, self.device, count)
        scores |= gate(vae, held_out, self.edition, self.device, self.out, count, before, name)
        if before is not None:
            scores |= measure_drift(vae, before, held_out, self.device, count)
        return scores | {"gate_passed": passes(scores)}

    def held_out_count(self) -> int:
        return 96 if self.big or self.settings.minutes >= 20 else 8 if self.full else 2

    def decoder(self, minutes: float) -> dict[str, Any]:
        """Continue training the decoder of out/vae, into out/decoder/vae; cached latents stay valid."""
        self.compile_norms(minutes)
        vae = open_vae(self.out / "vae")
        task = self.vae_task(DecoderTask, vae)
        config = self.config("decoder", minutes, lr_muon=2.5e-3, lr_adam=1.0e-3, ema=0.995)
        found = train(task, config, self.settings.show)
        if not processes.first():
            return {}
        scores = self.measure(vae, known=found)
        vae.to("cpu").save_pretrained(self.out / "decoder" / "vae")
        return scores

    def keep(self, minutes: float) -> dict[str, Any]:
        """Copy the VAE and the tiny decoder of `start`."""
        if self.start is not None and processes.first():
            for name in ("vae", "tiny_decoder"):
                shutil.copytree(self.start / name, self.out / name, dirs_exist_ok=True)
        processes.wait()
        return {}

    def best_vae(self) -> Path:
        trained_on = self.out / "decoder" / "vae"
        return trained_on if trained_on.exists() else self.out / "vae"

    def tiny(self, minutes: float) -> dict[str, Any]:
        config = self.config("tiny_run", minutes, lr_muon=4e-3, lr_adam=2e-3, ema=0.98, decay_from=0.4, warmup_steps=20)
        return train_tiny_decoder(
            open_vae(self.best_vae()), self.open_clips(), self.open_clips("held_out"), self.out / "tiny_decoder",
            config, num_clips=1024 if self.big else 512 if minutes > 3 else 16 if self.full else 4,
            batch=32 if self.big else 4, num_held_out=min(48, self.held_out_count()), speed=self.full,
            on_event=self.settings.show,
        )  # fmt: skip

    def cache(self, minutes: float) -> dict[str, Any]:
        """Encode clips and conditions, held-out ones first; existing shards are kept."""
        began, budget = time.monotonic(), self.settings.budget
        vae = open_vae(self.out / "vae").to(self.device)
        world, held_out, clips = self.edition.world, self.open_clips("held_out"), self.open_clips()
        how: dict[str, Any] = {
            "device": self.device, "fps": self.edition.fps, "report": budget.counting("encoding"),
        }  # fmt: skip
        write_latents(
            vae, held_out, world, self.out / "latents_held_out", limit=self.held_out_count(),
            leave_out=tuple(TARGETS), **how,
        )  # fmt: skip
        each_s = (time.monotonic() - began) / self.held_out_count()
        with budget.shortening():
            limit = len(clips) if self.full else fitting(budget, len(clips), each_s)
            write_latents(vae, clips, world, self.out / "latents", limit=limit, minutes=minutes, **how)
        return {"clips": len(self.open_latents())}

    def new_parts(self) -> dict[str, Any]:
        """The initial transformer, text encoder and tokenizer."""
        if self.start is None:
            return new_parts(self.edition)
        return {
            "transformer": WanVACETransformer3DModel.from_pretrained(
                self.start / "transformer", trust_remote_code=False
            ).float(),
            "text_encoder": UMT5EncoderModel.from_pretrained(
                self.start / "text_encoder", trust_remote_code=False
            ).float(),
            "tokenizer": AutoTokenizer.from_pretrained(self.start / "tokenizer", trust_remote_code=False),
        }

    def video_task(self, parts: dict[str, Any]) -> VideoTask:
        return VideoTask(
            parts["transformer"], parts["text_encoder"], parts["tokenizer"], self.open_latents(),
            self.open_latents("latents_held_out"), self.edition.world, device=self.device,
            batch=self.edition.batch // processes.count(), tokens=self.edition.tokens,
            warm_up=WARM_UP if self.start is None else 0.0,
        )  # fmt: skip

    def video(self, minutes: float) -> dict[str, Any]:
        task = self.video_task(self.new_parts())
        task.judge = partial(
            judge, task, self.out, self.best_vae(), self.open_clips("held_out"), SHIFT, GUIDANCE, self.full
        )  # fmt: skip
        if self.big:
            task.transformer.compile(dynamic=False)
        rates = self.edition.rates
        config = self.config(
            "video_run", minutes, lr_muon=self.rate * rates["muon"], lr_adam=self.rate * rates["adam"],
            decay_from=0.5 if self.start is None else 0.3, final_lr=0.03, ema=0.996,
        )  # fmt: skip
        result = train(task, config, self.settings.show)
        return result | {"samples": task.samples}

    def trained_parts(self) -> dict[str, Any]:
        """Transformer and text encoder with the averaged weights of the last checkpoint, and the tokenizer."""
        parts = self.new_parts()
        networks = {name: parts[name] for name in ("transformer", "text_encoder")}
        load_averaged(self.out / "video_run" / "checkpoint.pt", networks)
        return parts

    def few_step(self, minutes: float) -> dict[str, Any]:
        parts = self.trained_parts()
        config = self.config("few_step_run", minutes)
        return train_student(
            self.video_task(parts), self.out, config, minutes, SHIFT, GUIDANCE, self.settings.show, self.full
        )  # fmt: skip

    def export(self, minutes: float) -> dict[str, Any]:
        """Write the diffusers folder OUT/export with tiny_decoder/, few_step/ and card.json, and sheets."""
        if not processes.first():
            return {}
        folder = self.out / "export"
        export_pipeline(
            folder,
            vae=AutoencoderKLWan.from_pretrained(self.best_vae(), trust_remote_code=False),
            scheduler=scheduler(),
            **self.trained_parts(),
        )
        for extra in ("tiny_decoder", "few_step"):
            if (self.out / extra).exists():
                shutil.copytree(self.out / extra, folder / extra)
        model_world = EDITIONS[self.edition.name].world
        write_card(folder, replace(self.edition, world=model_world), self.training())
        if self.settings.minutes >= 10:
            self.draw_sheets(folder)
        return {"folder": str(folder)}

    def draw_sheets(self, folder: Path) -> None:
        pipeline = WanVACEPipeline.from_pretrained(folder, trust_remote_code=False)
        sampler, store = Sampler(pipeline, steps=STEPS, guidance=GUIDANCE, size=self.shape), self.open_clips("held_out")
        text_sheet(sampler, store, self.edition.world, self.out / "sheets" / "text.png")
        task_sheet(sampler, store, self.edition.world, self.out / "sheets" / "tasks.png")

    def training(self) -> dict[str, Any]:
        """The training record of card.json."""
        done = run_folder.read(self.out).done
        record = {"device": self.settings.device_name, "processes": processes.count(), "stages": done}
        if self.start is not None:
            record["before"] = json.loads((self.start / "card.json").read_text(encoding="utf-8"))["training"]
        return record
