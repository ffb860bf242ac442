"""Train kinema-mini-easyanimate from scratch on Toyland: the design of EasyAnimate's paper (arXiv 2405.18991) in small.

    kinema train recipes/mini_easyanimate.py --minutes 150 --out runs/mini_easyanimate
    kinema train recipes/mini_easyanimate.py --stage vae_slices --minutes 30 --out runs/mini_easyanimate --resume

Stages: clips (render Toyland); the slice autoencoder on single frames (vae_images), on slices (vae_slices), and its
decoder alone (vae_decoder); cache (latents of the clips); long (the same of longer ones); the transformer as an image
model with its text encoder (images), its motion modules with everything else frozen (motion), all of it (video); export
(a folder that loads, with card.json).

`--set buckets=64x64x17,96x64x9,64x64x1` trains the transformer on clips of these sizes and lengths, in batches of equal
numbers of tokens. `--data FOLDER` trains on your own clips and pictures (with captions, as for `kinema train lora`).
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinema.core.numerals import integer
from kinema.evaluation.cases import HELD_OUT
from kinema.families.easyanimate.paper.transformer import is_motion
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
from kinema.training.data.token_buckets import parse
from kinema.training.tasks.easyanimate import EasyAnimateTask
from kinema.training.tasks.easyanimate import Phase as Part
from kinema.training.tasks.flow import guided, sample
from kinema.training.tasks.slice_vae import Phase, SliceVaeTask, measure_seam, scale_slice_latents
from kinema.training.tasks.tiny_decoder import to_bytes
from kinema.training.tasks.vae import measure_vae

sys.path.insert(0, str(Path(__file__).parent))
from mini_easyanimate_data import NATIVE, OwnSizes, ToylandSizes, batches, write_own_clips
from mini_easyanimate_export import write_model
from mini_easyanimate_networks import FPS, FRAMES, GUIDANCE, SHIFT, SIDE, VAE, WORLD, new_parts, new_vae, open_vae
from mini_wan_judge import percent, right, singles
from own_clips import OwnClips
from run_of_recipe import RecipeRun

CELL, SLICE = 16, 8
"""Pixels of a token, and frames of a slice: sides and lengths of buckets."""
PICKS = (0, 4, 8, 12, 16)
LONG_FRAMES, LONG_FROM = 145, 5_000_000
"""Frames of longer clips, and the first seed of their scenes: objects hold the end of straight motions."""
LOOKED_AT, LOOK_STEPS = 12, 15
REHEARSAL = 2, 2
"""Number of clips in an evaluation, and their steps; the same in a rehearsal of a few seconds."""


def stages(settings: Settings) -> list[Stage]:
    run = Run(settings)
    return [
        Stage("clips", 0.03, run.clips, fixed_cost=run.fixed_cost(0.4)),
        Stage("vae_images", 0.05, partial(run.vae, "images"), fixed_cost=run.fixed_cost(0.1, 1.0)),
        Stage("vae_slices", 0.2, partial(run.vae, "slices"), fixed_cost=run.fixed_cost(0.1, 1.0)),
        Stage("vae_decoder", 0.09, partial(run.vae, "decoder"), fixed_cost=run.fixed_cost(0.1, 2.0)),
        Stage("cache", 0.03, run.cache, fixed_cost=run.fixed_cost(1.0)),
        Stage("long", 0.03, run.long, fixed_cost=run.fixed_cost(2.0)),
        Stage("images", 0.1, partial(run.transformer, "images"), fixed_cost=run.fixed_cost(2.0, 2.0)),
        Stage("motion", 0.1, partial(run.transformer, "motion"), fixed_cost=run.fixed_cost(2.0, 2.0)),
        Stage("video", 0.37, partial(run.transformer, "video"), fixed_cost=run.fixed_cost(2.0, 2.0)),
        Stage("export", 0.0, run.export, fixed_cost=run.fixed_cost(3.0)),
    ]


class Run(RecipeRun):
    def __init__(self, settings: Settings):
        super().__init__(settings)
        options, words = settings.options, ("count", "long", "buckets", "data")
        if unknown := [name for name in options if name not in words]:
            raise ValueError(f"No such setting: {unknown[0]}. Legal: {', '.join(words)}.")
        shapes = parse(options["buckets"], CELL, SLICE) if "buckets" in options else ()
        self.own_clips: OwnClips | None = None
        self.sizes: OwnSizes | ToylandSizes | None = None
        if "data" in options:
            shapes = shapes or (NATIVE,)
            self.own_clips = OwnClips(settings, (min(shape.frames for shape in shapes), SIDE, FPS))
            self.sizes = OwnSizes(lambda: self.own_clips.found, shapes, self.out, self.device)  # type: ignore[union-attr]
        elif shapes:
            self.sizes = ToylandSizes(shapes, self.out, self.device)

    def clips(self, minutes: float) -> dict[str, Any]:
        """Render OUT/clips (`--set count=N`; seeds 0, 1, ...) and OUT/held_out, or take them from a folder."""
        if self.own_clips is not None:
            report = self.own_clips.find_clips()
            write_own_clips(self.own_clips.found, self.out / "clips", self.out / "held_out")
            return report
        size: dict[str, Any] = {
            "num_frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS, "device": self.device,
            "report": self.settings.budget.counting("rendering"),
        }  # fmt: skip
        count = integer(self.settings.options.get("count", 32_768 if self.big else 6144)) if self.full else 32
        write_shards(self.out / "held_out", WORLD, range(HELD_OUT, HELD_OUT + (128 if self.full else 8)), **size)
        write_shards(self.out / "clips", WORLD, range(count), **size)
        return {"clips": len(self.open_clips())}

    # -- the autoencoder -------------------------------------------------------------------------------------------

    def vae(self, phase: Phase, minutes: float) -> dict[str, Any]:
        """A phase of the autoencoder, from the weights of the one before. The rate falls in the last two."""
        vae = new_vae()
        before = {"slices": "images", "decoder": "slices"}.get(phase)
        if before:
            load_averaged(self.out / f"vae_{before}_run" / "checkpoint.pt", {"vae": vae})
        task = SliceVaeTask(
            vae, self.open_clips(), self.open_clips("held_out"), phase=phase, device=self.device,
            batch_scale=8 if self.big else 1, num_held_out=24 if self.full else 4,
        )  # fmt: skip
        final, decay = {"images": (0.6, 0.5), "slices": (0.1, 0.4), "decoder": (0.01, 0.2)}[phase]
        factor = 0.5 if phase == "decoder" else 1.0
        config = self.config(
            f"vae_{phase}_run", minutes, ema=0.98, lr_muon=3.75e-3 * factor, lr_adam=1.5e-3 * factor, final_lr=final,
            decay_from=decay,
        )  # fmt: skip
        found = train(task, config, self.show)
        if phase != "decoder":
            return found
        found |= task.proof()
        load_averaged(self.out / "vae_decoder_run" / "checkpoint.pt", {"vae": vae})
        vae.eval().to(self.device)
        deviations = scale_slice_latents(vae, self.open_clips(), self.device, 128 if self.full else 4)
        if not processes.first():
            return {}
        held_out, count = self.open_clips("held_out"), 64 if self.full else 4
        scores = measure_vae(vae, held_out, self.device, count, codec=cogvideox_codec)
        scores["seam"] = measure_seam(vae, held_out, self.device, count)
        vae.share = False
        scores["seam_not_shared"] = measure_seam(vae, held_out, self.device, count)
        vae.share = True
        vae.to("cpu").save_pretrained(self.out / "vae")
        self.draw_reconstructions()
        return found | scores | {"deviations": deviations}

    @torch.no_grad()
    def draw_reconstructions(self) -> None:
        """Write OUT/sheets/reconstructions.png: clips above their reconstructions."""
        vae, held_out, rows = open_vae(self.out / "vae"), self.open_clips("held_out"), []
        frames, _ = held_out.take(list(range(min(8, len(held_out)))))
        mean, _ = cogvideox_codec.encode(vae, to_network(frames))
        made = to_bytes(cogvideox_codec.decode(vae, mean)).permute(0, 2, 3, 4, 1).numpy()
        for index, (clip, other) in enumerate(zip(frames.numpy(), made, strict=True)):
            text = describe(sample_scene(held_out.seed(index), WORLD), 0)
            rows.append((text, [np.concatenate([strip(clip, PICKS), strip(other, PICKS)])]))
        sheet(rows, self.out / "sheets" / "reconstructions.png", columns=2)

    def cache(self, minutes: float) -> dict[str, Any]:
        """Encode held-out clips, and as many of the others as fit the time; or the clips of the buckets."""
        if self.sizes is not None:
            count = integer(self.settings.options.get("count", 32_768 if self.big else 6144)) if self.full else 4
            vae = open_vae(self.out / "vae").to(self.device)
            few = 32 if self.full else 1
            return self.sizes.cache(vae, bf16=self.low, budget=self.settings.budget, count=count, few=few)
        began, budget = time.monotonic(), self.settings.budget
        vae, held_out = open_vae(self.out / "vae").to(self.device), self.open_clips("held_out")
        how: dict[str, Any] = {"device": self.device, "bf16": self.low, "report": budget.counting("encoding")}
        write_clip_latents(vae, held_out, self.out / "latents_held_out", **how)
        each_s = (time.monotonic() - began) / len(held_out)
        with budget.shortening():
            limit = fitting(budget, len(self.open_clips()), each_s)
            write_clip_latents(vae, self.open_clips(), self.out / "latents", limit=limit, **how)
        return {"clips": len(self.latents())}

    def long(self, minutes: float) -> dict[str, Any]:
        """Render and encode longer clips (`--set long=N`, 0: none), as many as fit the time."""
        count = integer(self.settings.options.get("long", 512)) if self.full else 2
        if not count or self.sizes is not None:
            return {"clips": 0}
        budget, vae = self.settings.budget, open_vae(self.out / "vae").to(self.device)
        size: dict[str, Any] = {
            "num_frames": LONG_FRAMES, "height": SIDE, "width": SIDE, "fps": FPS, "device": self.device,
            "report": budget.counting("rendering"),
        }  # fmt: skip
        how: dict[str, Any] = {"device": self.device, "bf16": self.low, "report": budget.counting("encoding")}
        few = 16 if self.full else 1
        write_shards(self.out / "long_held_out", WORLD, range(HELD_OUT, HELD_OUT + few), **size)
        began, held_out = time.monotonic(), self.open_clips("long_held_out")
        write_clip_latents(vae, held_out, self.out / "long_latents_held_out", **how)
        limit = fitting(budget, count, (time.monotonic() - began) / len(held_out))
        write_shards(self.out / "long_clips", WORLD, range(LONG_FROM, LONG_FROM + limit), **size)
        with budget.shortening():
            write_clip_latents(vae, self.open_clips("long_clips"), self.out / "long_latents", limit=limit, **how)
        return {"clips": len(self.latents("long_latents"))}

    def latents(self, name: str = "latents") -> FrameLatents:
        return FrameLatents(self.out / name, device=self.device)

    # -- the transformer -------------------------------------------------------------------------------------------

    def words(self, parts: dict[str, Any]) -> Captioner:
        caption_of = toyland_captions(WORLD) if self.own_clips is None else self.own_clips.caption_of
        return Captioner(parts["tokenizer"], parts["text_encoder"], caption_of, device=self.device)

    def parts(self, *phases: Part) -> dict[str, Any]:
        """Transformer and text encoder with the averaged weights of these phases, the last one winning."""
        own = None if self.own_clips is None else [item.caption for item in self.own_clips.found.items]
        parts = new_parts(own)
        for phase in phases:
            names = ("transformer",) if phase == "motion" else ("transformer", "text_encoder")
            networks = {name: parts[name] for name in names}
            untrained = is_motion if phase == "images" else None
            load_averaged(self.out / f"{phase}_run" / "checkpoint.pt", networks, skip=untrained)
        return parts

    def transformer(self, phase: Part, minutes: float) -> dict[str, Any]:
        """A phase of the transformer, from the weights of the ones before; returns the digests of frozen weights."""
        before: dict[Part, tuple[Part, ...]] = {"images": (), "motion": ("images",), "video": ("images", "motion")}
        parts = self.parts(*before[phase])
        batch = 256 if self.big else 32
        judge = partial(self.judge, parts, phase)
        long = sizes = None
        if self.sizes is not None:
            train_set, held_out = self.sizes.stores(open_vae(self.out / "vae").to(self.device), self.low)
            sizes, judge = batches(train_set, batch), judge if self.own_clips is None else lambda step: {}
            store, other = train_set[0], max(held_out, key=lambda each: each.latents[0].numel())
        else:
            store, other = self.latents(), self.latents("latents_held_out")
        if sizes is None and phase == "video" and (self.out / "long_latents").is_dir():
            long = self.latents("long_latents"), self.latents("long_latents_held_out")
        task = EasyAnimateTask(
            parts["transformer"], self.words(parts), store, other, phase=phase, device=self.device, batch=batch,
            judge=judge, long=long, sizes=sizes,
        )  # fmt: skip
        final, decay = {"images": (0.5, 0.5), "motion": (0.5, 0.5), "video": (0.02, 0.4)}[phase]
        rate = 0.8 if phase == "video" else 1.0
        config = self.config(
            f"{phase}_run", minutes, ema=0.997 if phase == "video" else 0.99, lr_muon=2.4e-3 * rate,
            lr_adam=1.2e-3 * rate, final_lr=final, decay_from=decay,
        )  # fmt: skip
        return train(task, config, self.show) | {"samples": task.samples} | task.proof()

    @torch.no_grad()
    def judge(self, parts: dict[str, Any], phase: Part, step: int) -> dict[str, Any]:
        """Score samples of held-out captions with the probes; writes OUT/sheets/PHASE_STEP.png. An image model's
        samples are pictures."""
        clips, steps = (LOOKED_AT, LOOK_STEPS) if self.full else REHEARSAL
        held_out = self.open_clips("held_out")
        scenes = [sample_scene(held_out.seed(index), WORLD) for index in singles(held_out, WORLD, clips)]
        captions = [describe(scene, 0) for scene in scenes]
        words, transformer = self.words(parts), parts["transformer"]
        cells = SIDE // 8
        shape = [VAE["latent_channels"], 1 if phase == "images" else (FRAMES - 1) // 4 + 1, cells, cells]
        noise = torch.randn((len(scenes), *shape), generator=torch.Generator().manual_seed(0)).to(self.device)

        def velocity(x: torch.Tensor, sigma_B: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
            with transformer.with_motion(phase != "images"):
                found: torch.Tensor = transformer(x, states, 1000 * sigma_B.float()).float()
            return found

        states = words.embed(captions), words.embed([""] * len(captions))
        latents = sample(guided(velocity, GUIDANCE), noise, states, steps, SHIFT)
        vae = open_vae(self.out / "vae").to(self.device)
        made = to_bytes(cogvideox_codec.decode(vae, latents)).permute(0, 2, 3, 4, 1).numpy()
        if phase == "images":
            made = made.repeat(FRAMES, 1)
        rows = [(text, [strip(clip, PICKS)]) for text, clip in zip(captions, made, strict=True)]
        sheet(rows, self.out / "sheets" / f"{phase}_{step:06d}.png", columns=2)
        return {"probes": percent([right(clip, scene, WORLD) for clip, scene in zip(made, scenes, strict=True)])}

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export in float16, with card.json."""
        if not processes.first():
            return {}
        parts, done = self.parts("video"), run_folder.read(self.out).done
        training = {"device": self.settings.device_name, "processes": processes.count(), "stages": done}
        own = self.own_clips is not None
        shapes = self.sizes.shapes if self.sizes is not None else ()
        return write_model(
            self.out / "export", vae=open_vae(self.out / "vae"), training=training, own_clips=own,
            sizes=[(shape.width, shape.height) for shape in shapes], **parts,
        )  # fmt: skip

    def show(self, event: dict[str, Any]) -> None:
        if event["event"] == "evaluated" and processes.first():
            print(event, file=sys.stderr, flush=True)
