"""Shared parts of the Stable Diffusion recipes (mini_image, mini_zeroscope, mini_animatediff, mini_svd): clip size,
noise schedule, Toyland clips and their latents, evaluation, and model cards."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from mini_wan_editions import SMALL
from mini_wan_judge import percent, right, singles
from own_clips import OwnClips
from transformers import CLIPTextModel, CLIPTokenizer

from kinema.core.numerals import integer
from kinema.evaluation.cases import HELD_OUT
from kinema.toyland.caption import describe
from kinema.toyland.scene import Scene, World, sample_scene
from kinema.training.core import processes, run_folder
from kinema.training.core.budget import NOTHING, FixedCost
from kinema.training.core.cpu_unet import optimize_for_cpu
from kinema.training.core.loop import LoopConfig
from kinema.training.core.sheets import sheet, strip
from kinema.training.core.stages import Settings
from kinema.training.data.buckets import Bucket
from kinema.training.data.captioner import CaptionOf, toyland_captions
from kinema.training.data.frame_latents import FrameLatents, write_frame_latents
from kinema.training.data.store import ClipStore, fitting, write_shards
from kinema.training.tasks.ddpm import Schedule
from kinema.training.tasks.export import edit_json
from kinema.weights.device import good_at_bfloat16
from kinema.weights.folder import scheduler as named_scheduler
from kinema.weights.store import digests

SIDE, FRAMES, FPS = 64, 16, 8.0
WORLD = SMALL.world
SCHEDULE = Schedule()
STEPS, GUIDANCE, PICKS = 25, 5.0, (0, 5, 10, 15)
LOOKED_AT, LOOK_STEPS = 6, 12
"""Number of clips in an evaluation, and their steps; a clip costs as much as several training steps."""
REHEARSED, REHEARSAL_STEPS = 2, 4
"""The same in a rehearsal of a few seconds."""
IMAGE = Path(__file__).parent.parent / "src" / "kinema" / "miniatures" / "mini_image"


def scheduler(schedule: Schedule = SCHEDULE) -> DDIMScheduler:
    """Return a DDIM scheduler with trailing timesteps, which always start at the highest noise level."""
    return DDIMScheduler(
        num_train_timesteps=schedule.num_steps, beta_start=schedule.beta_start, beta_end=schedule.beta_end,
        beta_schedule=schedule.kind, prediction_type=schedule.prediction, clip_sample=False, set_alpha_to_one=False,
        timestep_spacing="trailing", rescale_betas_zero_snr=schedule.zero_snr,
    )  # fmt: skip


class Work:
    """Base class of recipes. Stages are called in every process with their minutes.

    big: is the device a GPU? full: is it more than a rehearsal of a few seconds? data: the folder of clips and latents,
    this run's or another recipe's (`--set clips=DIR`). side: of the clips, in px.
    """

    side = SIDE

    def __init__(self, settings: Settings):
        self.settings, self.out = settings, settings.out
        self.device = processes.own_device(settings.device)
        self.big = self.device != "cpu"
        self.full = self.big or settings.minutes >= 10
        self.data = Path(settings.options.get("clips", self.out))
        self.borrowed = self.data != self.out
        if self.borrowed and not (self.data / "latents").is_dir():
            raise ValueError(f"clips must be the folder of a recipe's run; {self.data} has no latents.")
        torch.set_num_threads(8 if self.big else 1)

    def optimize(self, network: Any) -> Any:
        return network if self.big else optimize_for_cpu(network)

    def fixed_cost(self, before_s: float, after_s: float = 0.0) -> FixedCost:
        """The fixed cost of a stage in a rehearsal, as measured on one core."""
        return NOTHING if self.full else FixedCost(before_s, after_s)

    def config(self, name: str, minutes: float, **changes: Any) -> LoopConfig:
        values: dict[str, Any] = {
            "device": self.device, "bf16": good_at_bfloat16(torch.device(self.device)),
            "resume": self.settings.resume, "final_lr": 0.03, "decay_from": 0.4,
            "evaluate_minutes": max(1.0, min(20.0, minutes / 3)), "budget": self.settings.budget,
        }  # fmt: skip
        return LoopConfig(out=self.out / name, minutes=max(minutes, 0.02), **{**values, **changes})

    def open_clips(self, name: str = "clips") -> ClipStore:
        return ClipStore(self.folder_of(name))

    def folder_of(self, name: str) -> Path:
        """The folder of clips or latents: of this run if it exists, else of `data`."""
        return self.data / name if (self.borrowed and not (self.out / name).is_dir()) else self.out / name

    def render(self, name: str, seeds: Sequence[int], world: World = WORLD) -> None:
        """Render scenes of a world to OUT/name."""
        size: dict[str, Any] = {
            "num_frames": FRAMES,
            "height": self.side,
            "width": self.side,
            "fps": FPS,
            "device": self.device,
        }
        write_shards(self.out / name, world, seeds, report=self.settings.budget.counting("rendering"), **size)

    def render_all(
        self, full: int, big: int, rehearsal: int, world: World = WORLD, seeds: Callable[[int], Sequence[int]] = range
    ) -> dict[str, Any]:
        """Render OUT/clips (`--set count=N`; seeds: returns the scenes for a count) and OUT/held_out."""
        self.render("held_out", range(HELD_OUT, HELD_OUT + (128 if self.full else 8)), world)
        count = integer(self.settings.options.get("count", big if self.big else full)) if self.full else rehearsal
        self.render("clips", seeds(count), world)
        return {"clips": len(self.open_clips())}

    def encode(self, vae: Any, clips: str = "clips", latents: str = "latents", limit: int | None = None) -> None:
        write_frame_latents(
            vae.eval().to(self.device), self.open_clips(clips), self.out / latents, self.device, limit=limit,
            report=self.settings.budget.counting("encoding"),
        )  # fmt: skip

    def encode_all(self, vae: Any) -> dict[str, Any]:
        """Encode held-out clips, and as many of the others as fit the time."""
        began, budget = time.monotonic(), self.settings.budget
        self.encode(vae, "held_out", "latents_held_out")
        each_s = (time.monotonic() - began) / len(self.open_clips("held_out"))
        with budget.shortening():
            limit = fitting(budget, len(self.open_clips()), each_s)
            self.encode(vae, limit=limit)
        return {"clips": len(self.latents())}

    def latents(self, name: str = "latents") -> FrameLatents:
        return FrameLatents(self.folder_of(name), device=self.device)

    def held_out_scenes(self, count: int, world: World = WORLD) -> list[Scene]:
        """The first held-out scenes with one object."""
        held_out = self.open_clips("held_out")
        return [sample_scene(held_out.seed(index), world) for index in singles(held_out, world, count)]

    def judged(
        self, clips_BFHWC: np.ndarray, scenes: Sequence[Scene], name: str, world: World = WORLD
    ) -> dict[str, Any]:
        """Return the accuracies of the probes in per cent; writes OUT/sheets/NAME.png."""
        pairs = list(zip(clips_BFHWC, scenes, strict=True))
        rows = [(describe(scene, 0), [strip(clip, PICKS)]) for clip, scene in pairs]
        sheet(rows, self.out / "sheets" / f"{name}.png", columns=2)
        return {"probes": percent([right(clip, scene, world) for clip, scene in pairs])}

    @torch.no_grad()
    def judge_clips(self, pipeline: Callable[[], Any], name: str) -> dict[str, Any]:
        """Generate clips for a few held-out captions with a pipeline and score them."""
        scenes = self.held_out_scenes(LOOKED_AT if self.full else REHEARSED)
        made = pipeline()(
            [describe(scene, 0) for scene in scenes], num_inference_steps=LOOK_STEPS if self.full else REHEARSAL_STEPS,
            guidance_scale=GUIDANCE, height=SIDE, width=SIDE, num_frames=FRAMES,
            generator=torch.Generator().manual_seed(0), output_type="np",
        ).frames  # fmt: skip
        return self.judged(as_bytes(made), scenes, name)

    def done(self) -> dict[str, Any]:
        """Results of the finished stages."""
        return run_folder.read(self.out).done

    def card(self, name: str, folder: Path, **more: Any) -> dict[str, Any]:
        """Write FOLDER/card.json: the model's training, recommended settings and file digests."""
        recipe = name.removeprefix("kinema-").replace("-", "_")
        card = {
            "name": name, "license": "Apache-2.0", "recipe": f"recipes/{recipe}.py", "world": asdict(WORLD),
            "native": {"frames": FRAMES, "height": self.side, "width": self.side, "fps": FPS},
            "recommended": {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE}, **more,
            "training": {"device": self.settings.device_name, "processes": processes.count(), "stages": self.done()},
            "weights_sha256": digests(folder),
        }  # fmt: skip
        write_card(folder, card)
        return card


class OnImage(Work):
    """Base class of recipes on top of an image model (`--set image=DIR`, default: kinema-mini-image), with Toyland or,
    if takes_data, the user's clips (`--data FOLDER`, `--set side=256`). options: further options of the recipe."""

    options: tuple[str, ...] = ()
    takes_data = False

    def __init__(self, settings: Settings):
        super().__init__(settings)
        legal = (*self.options, "image", "clips", "count", *(("data", "side") if self.takes_data else ()))
        if unknown := [name for name in settings.options if name not in legal]:
            raise ValueError(f"No such setting: {unknown[0]}. Legal: {', '.join(legal)}.")
        side = settings.options.get("side", str(self.side))
        if not (side.isascii() and side.isdigit() and 32 <= int(side) <= 2048):
            raise ValueError(f"side must be 32 to 2048 px, got {side}.")
        self.own_clips = OwnClips(settings, (FRAMES, int(side), FPS)) if "data" in settings.options else None
        self.image = Path(settings.options.get("image", IMAGE))
        if not (self.image / "unet" / "config.json").is_file():
            raise ValueError(f"image must be the folder of an image model; {self.image} has no unet/config.json.")

    @property
    def schedule(self) -> Schedule:
        """The image model's noise schedule."""
        return Schedule.of(named_scheduler(self.image))

    @property
    def motion_schedule(self) -> Schedule:
        """The noise schedule for motion. If the image model predicts velocities, it ends in pure noise: the image
        model's last timestep still has 7 % of the signal, which hides a single frame, but not the motion of sixteen. If
        it predicts noise, AnimateDiff's linear betas."""
        own = self.schedule
        return replace(own, zero_snr=True) if own.prediction == "v_prediction" else replace(own, kind="linear")

    def render_all(self, *given: Any, **named: Any) -> dict[str, Any]:
        return super().render_all(*given, **named) if self.own_clips is None else self.own_clips.find_clips()

    def encode_all(self, vae: Any) -> dict[str, Any]:
        if self.own_clips is None:
            return super().encode_all(vae)
        return {f"{self.bucket.width}x{self.bucket.height}": len(self.bucket)}

    @cached_property
    def bucket(self) -> Bucket:
        assert self.own_clips is not None
        return self.own_clips.bucket(self.vae, str(self.image), self.device)

    def training_data(self) -> tuple[Any, Any, CaptionOf]:
        """(training clips, held-out clips, caption function)."""
        if self.own_clips is None:
            return self.latents(), self.latents("latents_held_out"), toyland_captions(WORLD)
        return *self.bucket.split(), self.own_clips.caption_of

    def judge_clips(self, pipeline: Callable[[], Any], name: str) -> dict[str, Any]:
        """Score Toyland clips; the probes do not apply to the user's clips."""
        return super().judge_clips(pipeline, name) if self.own_clips is None else {}

    def vae(self) -> Any:
        return (
            AutoencoderKL.from_pretrained(self.image / "vae", torch_dtype=torch.float32, trust_remote_code=False)
            .eval()
            .to(self.device)
        )

    def unet(self) -> Any:
        return UNet2DConditionModel.from_pretrained(
            self.image / "unet", torch_dtype=torch.float32, trust_remote_code=False
        )

    def text(self) -> dict[str, Any]:
        """text_encoder and tokenizer."""
        return {
            "text_encoder": CLIPTextModel.from_pretrained(
                self.image / "text_encoder", dtype=torch.float32, trust_remote_code=False
            ),
            "tokenizer": CLIPTokenizer.from_pretrained(self.image / "tokenizer", trust_remote_code=False),
        }


def save(pipeline: Any, folder: Path) -> None:
    """Save a diffusers pipeline in float16, without local paths; its text encoder loads in float32."""
    shutil.rmtree(folder, ignore_errors=True)
    pipeline.to(torch.float16).save_pretrained(folder)
    for part in ("vae", "unet", "text_encoder"):
        if (folder / part / "config.json").is_file():
            edit_json(folder / part / "config.json", _name_or_path=None)
    if (folder / "text_encoder").is_dir():
        edit_json(folder / "text_encoder" / "config.json", dtype="float32")


def as_bytes(made: Any) -> np.ndarray:
    """Convert a pipeline's frames in [0, 1] to uint8."""
    found: np.ndarray = (np.asarray(made) * 255).round().astype(np.uint8)
    return found


def write_card(folder: Path, card: dict[str, Any]) -> None:
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
