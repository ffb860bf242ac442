"""The stages of `kinema train tora`: clips, training and export. See tora.py for the settings."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch

from ...core.whole import whole
from ...families.cogvideox.tora.networks import CHANNELS, MotionGuidance
from ...toyland import scene
from ...toyland.caption import describe
from ...weights.device import good_at_bfloat16
from ..core import checkpoints, processes
from ..core.loop import LoopConfig, train
from ..core.sheets import sheet, strip
from ..data import buckets, motion_clips
from ..data.motion_clips import MotionClips, MotionEncoder
from ..families.tora import ToraBase
from ..tasks.tora import ToraTask, new_guidance
from ._tora_options import LR, SMALL, SMALL_LR, ToraOptions

WORLDS = {"mini": scene.WORLD_MINI, "small": scene.WORLD_SMALL, "full": scene.WORLD}
SMALL_CHANNELS = 32
SAMPLE_STEPS = 20


class ToraTraining:
    """The stages of Tora's training; each is called in every process with its minutes."""

    def __init__(self, wanted: ToraOptions) -> None:
        self.wanted, self.settings, self.out, self.number = wanted, wanted.settings, wanted.out, wanted.number
        self.device = processes.own_device(self.settings.device)
        if self.device == "cpu":
            torch.set_num_threads(1)
        self.clips: list[MotionClips] = []
        self._base: ToraBase | None = None

    @property
    def base(self) -> ToraBase:
        if self._base is None:
            self.settings.budget.report("loading the model")
            self._base = ToraBase.load(self.wanted.card, self.device)
        return self._base

    @property
    def small(self) -> bool:
        return sum(parameter.numel() for parameter in self.base.parts.transformer.parameters()) < SMALL

    def encoder(self) -> MotionEncoder:
        return self.base.encoder(
            sigma_px=self.wanted.sigma_px, compression=self.wanted.choice["compression"],
            draws=int(self.number["draws"]), most_points=int(self.number["points"]), seed=self.wanted.seed,
        )  # fmt: skip

    def encoder_id(self, encoder: MotionEncoder) -> str:
        settings = {
            each.name: getattr(encoder, each.name) for each in dataclasses.fields(encoder) if each.name != "encode"
        }
        return f"tora {self.wanted.card.id} {self.wanted.card.path} {sorted(settings.items())}"

    # -- stages ----------------------------------------------------------------------------------------------------

    def cache(self, minutes: float) -> dict[str, Any]:
        """Compute latents and motion maps of all clips."""
        encoder = self.encoder()
        self.clips = self._toyland(encoder) if self.wanted.data is None else self._own(encoder)
        return {f"{each.latents.shape[-1]}x{each.latents.shape[-2]}": len(each) for each in self.clips}

    def _own(self, encoder: MotionEncoder) -> list[MotionClips]:
        wanted = self.wanted
        if wanted.curated is None:
            wanted.curate_clips(0)
        assert wanted.curated is not None and wanted.found is not None
        kept, estimate = wanted.curated.kept, wanted.estimate()
        filled = buckets.fill(
            [wanted.found.items[number] for number in kept],
            lambda frames_FHWC: encoder.packed(frames_FHWC, estimate(frames_FHWC)),
            self.out / "cache", frames=wanted.frames, fps=wanted.fps, multiple=wanted.card.size.multiple,
            area=wanted.area, crops=int(self.number["crops"]), size=wanted.size,
            encoder_id=f"{self.encoder_id(encoder)} {wanted.choice['flow']}",
            on_clip=self.settings.budget.counting("encoding"),
            on_unreadable=lambda number, error: wanted.found.mark_unreadable(kept[number], error),  # type: ignore[union-attr]
        )  # fmt: skip
        own = torch.tensor(kept)
        named = [dataclasses.replace(bucket, item=own[bucket.item]) for bucket in filled]
        return [MotionClips.of_bucket(bucket, encoder, wanted.curated.weight) for bucket in named]

    def _toyland(self, encoder: MotionEncoder) -> list[MotionClips]:
        wanted, (width, height) = self.wanted, self.wanted.card.size.trained[0]
        clips, motions = motion_clips.toyland(
            self.out / "cache", WORLDS[wanted.choice["world"]], range(int(self.number["clips"])), encoder,
            num_frames=wanted.frames, height=height, width=width, fps=wanted.fps,
            encoder_id=self.encoder_id(encoder), report=self.settings.budget.counting("rendering and encoding"),
        )  # fmt: skip
        camera, least = wanted.choice["camera"] == "drop", self.number["least_flow"]
        reasons = [each.why_dropped(camera=camera, least=least).partition(":")[0].partition(",")[0] for each in motions]
        for why in sorted(set(reasons) - {""}):
            self.settings.show({"event": "data", "": f"dropped: {reasons.count(why)} Toyland clips: {why}"})
        kept = torch.tensor([not why for why in reasons])
        if not kept.any():
            raise ValueError("No Toyland clip is left for training. camera=keep keeps moving cameras.")
        return [clips.part(kept)]

    def train(self, stage: str, minutes: float) -> dict[str, Any]:
        """Train one stage, from the weights of the stage before it."""
        if not self.clips:
            self.cache(0)
        guidance = self.guidance(stage)
        task = self.task(guidance, stage)
        lr = (self.number["lr"] or (SMALL_LR if self.small else LR)) * (0.5 if stage == "sparse" else 1.0)
        if self.wanted.choice["checkpointing"] == "on":
            self.base.parts.transformer.enable_gradient_checkpointing()
            self.base.parts.transformer.train()
        config = LoopConfig(
            out=self.out / stage, minutes=max(minutes, 0.001), most_steps=int(self.number["steps"]), device=self.device,
            ema=0.98 if self.small else 0.9999, accumulate=int(self.number["accumulate"]), clip=0.1, weight_decay=1e-4,
            bf16=good_at_bfloat16(torch.device(self.device)), resume=self.settings.resume, final_lr=0.05, lr_adam=lr,
            lr_muon=lr, warmup_steps=20, evaluate_minutes=self.number["every"] or 1e9, seed=self.wanted.seed,
            optimizer="adamw" if self.wanted.choice["optimizer"] == "muon" else self.wanted.choice["optimizer"],
            budget=self.settings.budget,
        )  # fmt: skip
        found = train(task, config, self.settings.show)
        self.base.parts.transformer.eval()
        if processes.first():
            with whole(self.out / f"{stage}.pt") as beside:
                torch.save(guidance.state_dict(), beside)
        processes.wait()
        return found | task.proof()

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/model, a Tora folder in diffusers' layout. Parts of the ablation that Kinema cannot load for
        generating are written as OUT/guidance.safetensors."""
        if not processes.first():
            return {}
        guidance = self.guidance(self.wanted.stages[-1])
        guidance.load_state_dict(checkpoints.read(self.out / f"{self.wanted.stages[-1]}.pt"))
        if self.wanted.published:
            made = self.base.export(self.out / "model", guidance, self.wanted.sigma_px)
        else:
            from safetensors.torch import save_file

            made = self.out / "guidance.safetensors"
            with whole(made) as beside:
                save_file({name: x.contiguous().cpu() for name, x in guidance.state_dict().items()}, beside)
            self.settings.show({
                "event": "note", "": "compression=sample and pool are for the ablation: no model folder is written",
            })  # fmt: skip
        return {"files": json.dumps([str(made)])}

    # -- helpers ---------------------------------------------------------------------------------------------------

    def guidance(self, stage: str) -> MotionGuidance:
        """Tora's parts at the beginning of a stage: of the stage before, of the model, or new ones."""
        own = self.base.guidance if self.wanted.choice["start"] == "model" else None
        if own is not None and self.wanted.published:
            found = own
        else:
            channels = int(self.number["channels"]) or (SMALL_CHANNELS if self.small else CHANNELS)
            found = new_guidance(
                self.base.family.config, fuser=self.wanted.choice["fuser"], channels=channels,
                motion_channels=self.encoder().channels, seed=self.wanted.seed,
            )  # fmt: skip
        found = found.float().to(self.device)
        before = self.wanted.stages[: self.wanted.stages.index(stage)]
        if before:
            found.load_state_dict(checkpoints.read(self.out / f"{before[-1]}.pt"))
        return found

    def task(self, guidance: MotionGuidance, stage: str) -> ToraTask:
        splits = [each.split() for each in self.clips]
        parts = self.base.parts
        task = ToraTask(
            parts.transformer, guidance, self.base.states, self.caption_of, splits[0][0], splits[0][1],
            schedule=self.base.schedule, stage=stage, device=self.device, batch=int(self.number["batch"]),
            drop=self.number["drop"], frozen={"vae": parts.vae, "text_encoder": parts.text_encoder},
            names_for_adam=("norm", "bn", "conv_in") if self.wanted.choice["optimizer"] == "muon" else ("",),
            more=[train_set for train_set, _ in splits[1:]],
        )  # fmt: skip
        task.judge = lambda step: self.write_samples(task, stage, step)
        return task

    def caption_of(self, item: int, wording: int, place: bool) -> str:
        """The caption of a clip, after the trigger word."""
        if self.wanted.data is None:
            found = describe(scene.sample_scene(item, WORLDS[self.wanted.choice["world"]]), wording)
        else:
            assert self.wanted.found is not None
            found = self.wanted.found.items[item].caption
        return ", ".join(part for part in (self.wanted.settings.options.get("trigger", ""), found) if part)

    def write_samples(self, task: ToraTask, stage: str, step: int) -> dict[str, Any]:
        """Write motion maps and samples of the first clips to OUT/sheets/STAGE_STEP.png."""
        store, rows = task.held_out, []
        for row in range(min(int(self.number["samples"]), len(store))):
            index = torch.tensor([row])
            motion = store.motion(index, torch.zeros(1, dtype=torch.long) if stage == "sparse" else None)[0]
            caption = self.caption_of(int(store.item[row]), 0, False)
            latents = task.sample(
                caption, motion, seed=row, steps=SAMPLE_STEPS, scheduler=self.base.parts.scheduler,
                guidance=self.wanted.card.defaults.guidance,
                picture_CHW=None if store.picture is None else store.picture[row],
            )  # fmt: skip
            shown = [store.latents[row].float(), latents]
            if self.wanted.choice["compression"] == "vae":
                shown.insert(0, motion.transpose(0, 1))
            picks = torch.linspace(0, self.wanted.frames - 1, 6).round().int().tolist()
            strips = [strip(self.base.decode(each, self.wanted.frames).numpy(), picks) for each in shown]
            rows.append((caption, strips))
        if rows:
            sheet(rows, self.out / "sheets" / f"{stage}_{step:06d}.png", columns=1)
        return {}
