"""The ablations of Tora's paper (arXiv 2407.21705, tables 2 and 3), in small: three compressions of the motion map,
three fusers, three orders of training, each with as many steps on the same Toyland clips.

    python benchmarks/tora_ablation.py --steps 400 --out runs/ablation           # on kinema-mini-tora
    python benchmarks/tora_ablation.py MODEL --steps 400 --tables fuser          # another CogVideoX model; one table

"held-out error": of the velocity, with key points, on clips that were not trained on, mean of three noise levels.
"other motion": by how much it rises, in per cent, with the motion of another clip. "TrajError": mean distance between
the object and the path of its centre that was given, in per cent of the frame's side, in clips sampled from the caption
and that path; objects that the probes do not find count as 100. "seen": share of clips with the object. The row "no
path" is the model without Tora's parts. Every row has the same clips, noise, seed of the initial weights and number of
steps; "dense, then sparse" has half of them in each stage.
Prints the tables, with seed and digests, and writes them to OUT/ablation.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinema.evaluation.motion import trajectory_error
from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import track_object
from kinema.families.cogvideox.tora import motion_map
from kinema.sd.inflate import digest
from kinema.toyland.caption import describe
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, Scene, sample_scene
from kinema.training.core.loop import LoopConfig, train
from kinema.training.core.sheets import sheet, strip
from kinema.training.data import motion_clips
from kinema.training.data.motion_clips import MotionClips, MotionEncoder
from kinema.training.families.tora import ToraBase
from kinema.training.tasks.tora import HELD_OUT_STEPS, ToraTask, new_guidance
from kinema.weights import store

WORLD = replace(
    WORLD_MINI, kinds=("ball", "square", "triangle", "star"), backgrounds=("meadow", "sea", "desert", "snow"),
    lights=("day",), cameras=("still",), free_paths=1.0, two_actors=0.0, moving_camera=0.0, some_change=0.0,
    some_spin=0.0,
)  # fmt: skip
"""One object under a still camera, on a path that its caption does not state: only the motion map tells where it is."""
HELD_OUT = 40_000_000
LOST = 100.0
SIGMA_PX = 10.0
"""For models without Tora's parts: the published width."""


@dataclass(frozen=True)
class Variant:
    """One row. fuser, compression: as in `kinema train tora`. stages: in order."""

    fuser: str = "adaptive_norm"
    compression: str = "vae"
    stages: tuple[str, ...] = ("dense", "sparse")


TABLES: dict[str, dict[str, Variant]] = {
    "compression": {
        "sampling": Variant(compression="sample"), "average pool": Variant(compression="pool"), "3D VAE": Variant(),
    },
    "fuser": {
        "extra channels": Variant(fuser="extra_channels"), "cross-attention": Variant(fuser="cross_attention"),
        "adaptive norm": Variant(),
    },
    "training": {
        "dense only": Variant(stages=("dense",)), "sparse only": Variant(stages=("sparse",)),
        "dense, then sparse": Variant(),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Of all rows. steps: in all stages together. clips, held_out, samples: numbers of clips. sampling: steps."""

    out: Path
    steps: int
    clips: int
    held_out: int
    samples: int
    batch: int
    lr: float
    channels: int
    sampling: int
    sigma: float
    seed: int


class Ablation:
    def __init__(self, base: ToraBase, settings: Settings) -> None:
        self.base, self.settings = base, settings
        card = base.card
        self.width, self.height = card.size.trained[0]
        self.frames, self.fps = card.frames.trained, card.defaults.fps
        self.done: dict[Variant, dict[str, Any]] = {}
        self.probes = load_probes()
        self.autoencoder = digest(base.parts.vae, lambda name: True)[:16]

    # -- clips ---------------------------------------------------------------------------------------------------------

    def encoder(self, compression: str) -> MotionEncoder:
        return self.base.encoder(sigma_px=self.settings.sigma, compression=compression, seed=self.settings.seed)

    def clips(self, compression: str) -> tuple[MotionClips, MotionClips]:
        """(training, held-out) clips."""
        found = []
        for first, count in ((0, self.settings.clips), (HELD_OUT, self.settings.held_out)):
            clips, _ = motion_clips.toyland(
                self.settings.out / "cache", WORLD, range(first, first + count), self.encoder(compression),
                num_frames=self.frames, height=self.height, width=self.width, fps=self.fps,
                encoder_id=f"{self.autoencoder} {compression} {self.settings.sigma} {self.settings.seed}",
            )  # fmt: skip
            found.append(replace(clips, weight=torch.ones(count)))
        return found[0], found[1]

    # -- one row -------------------------------------------------------------------------------------------------------

    def task(self, variant: Variant, guidance: Any, stage: str, clips: tuple[MotionClips, MotionClips]) -> ToraTask:
        parts = self.base.parts
        return ToraTask(
            parts.transformer, guidance, self.base.states, lambda seed, wording, place: self.caption(seed, wording),
            *clips, schedule=self.base.schedule, stage=stage, batch=self.settings.batch, device=self.base.device,
        )  # fmt: skip

    def caption(self, seed: int, wording: int = 0) -> str:
        return describe(sample_scene(seed, WORLD), wording)

    def row(self, variant: Variant) -> dict[str, Any]:
        """Train and measure a variant, once."""
        if variant in self.done:
            return self.done[variant]
        settings, began = self.settings, time.process_time()
        clips, encoder = self.clips(variant.compression), self.encoder(variant.compression)
        guidance = new_guidance(
            self.base.family.config, fuser=variant.fuser, channels=settings.channels, motion_channels=encoder.channels,
            seed=settings.seed,
        )  # fmt: skip
        each = settings.steps // len(variant.stages)
        for stage in variant.stages:
            task = self.task(variant, guidance, stage, clips)
            name = f"{variant.compression}_{variant.fuser}_{'+'.join(variant.stages)}"
            train(
                task,
                LoopConfig(
                    out=settings.out / name / stage, max_steps=each, lr_adam=settings.lr, ema=0.98, seed=settings.seed,
                    warmup_steps=20, device=self.base.device, evaluate_minutes=1e9,
                ),
            )  # fmt: skip
            task.proof()
        task = self.task(variant, guidance, "sparse", clips)
        held_out = task.evaluate(0)
        found = {
            "steps": each * len(variant.stages),
            "parameters": sum(p.numel() for p in guidance.parameters()),
            "held_out_error": float(np.mean([held_out[f"error_{t}"] for t in HELD_OUT_STEPS])),
            "other_motion_percent": held_out["motion_percent"],
            **self.trajectories(task, encoder, name),
            "processor_s": round(time.process_time() - began, 1),
            "digest": digest(guidance, lambda name: True)[:16],
        }
        self.done[variant] = found
        return found

    def trajectories(self, task: ToraTask, encoder: MotionEncoder | None, name: str) -> dict[str, float]:
        """Errors of clips sampled with the true path of held-out objects; without an encoder, without a path."""
        errors, rows = [], []
        for number in range(self.settings.samples):
            scene = sample_scene(HELD_OUT + number, WORLD)
            path_F2 = self.path(scene)
            motion = None
            if encoder is not None:
                map_FHWC = motion_map.draw([path_F2 + 0.5], self.height, self.width, self.settings.sigma)
                _, frames, _, height, width = task.store.latents.shape
                motion = encoder.compress(map_FHWC, (frames, height, width))[0]
            caption = self.caption(HELD_OUT + number)
            latents = task.sample(
                caption, motion, seed=number, steps=self.settings.sampling, scheduler=self.base.parts.scheduler,
                guidance=self.base.card.defaults.guidance,
            )  # fmt: skip
            clip_FHWC = self.base.decode(latents, self.frames).numpy()
            actor = scene.actors[0]
            track = track_object(self.probes.read(clip_FHWC), actor.kind, actor.color)
            error = trajectory_error(track, (path_F2 + 0.5) / (self.width, self.height))
            errors.append(error)
            picks = np.linspace(0, self.frames - 1, 6).round().astype(int).tolist()
            rows.append(
                (f"{LOST if error is None else error:.1f} {caption}", [strip(drawn(clip_FHWC, path_F2), picks)])
            )
        sheet(rows[:12], self.settings.out / f"{name}.png", columns=2)
        numbers = [LOST if each is None else each for each in errors]
        return {
            "traj_error_percent": round(float(np.mean(numbers)), 2),
            "traj_error_median_percent": round(float(np.median(numbers)), 2),
            "seen_percent": round(100 * float(np.mean([each is not None for each in errors])), 1),
        }

    def path(self, scene: Scene) -> np.ndarray:
        """The centre of a scene's object, (F, 2) in px; pixel centres are whole numbers."""
        out = render([scene], num_frames=self.frames, height=self.height, width=self.width, fps=self.fps)
        found: np.ndarray = out.tracks_BNF2[0, 0].numpy()
        return found

    def without_path(self) -> dict[str, Any]:
        clips = self.clips("vae")
        guidance = new_guidance(self.base.family.config, channels=self.settings.channels, seed=self.settings.seed)
        task = self.task(Variant(), guidance, "sparse", clips)
        held_out = task.evaluate(0)
        error = float(np.mean([held_out[f"error_{t}"] for t in HELD_OUT_STEPS]))
        return {"held_out_error": error, "other_motion_percent": 0.0, **self.trajectories(task, None, "no_path")}


def drawn(clip_FHWC: np.ndarray, path_F2: np.ndarray) -> np.ndarray:
    """Frames with the path so far, white on black."""
    found = clip_FHWC.copy()
    height, width = clip_FHWC.shape[1:3]
    for f in range(len(found)):
        for x, y in path_F2[: f + 1].round().astype(int):
            if 0 <= x < width and 0 <= y < height:
                found[f, y, x] = 255
    return found


def table(name: str, rows: dict[str, dict[str, Any]]) -> str:
    """A table in Markdown."""
    lines = [
        f"| {name} | TrajError, % (median) | seen, % | held-out error | other motion, % | steps | parameters |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, row in rows.items():
        lines.append(
            f"| {title} | {row['traj_error_percent']} ({row['traj_error_median_percent']}) | {row['seen_percent']} | "
            f"{row['held_out_error']:.4f} | {row['other_motion_percent']:+.2f} | {row.get('steps', '-')} | "
            f"{row.get('parameters', '-')} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", nargs="?", default="kinema-mini-tora", help="a CogVideoX model or folder, text to video"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/tora_ablation"))
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--device", default="cpu")
    for name, default in (
        ("steps", 400), ("clips", 512), ("held-out", 32), ("samples", 32), ("batch", 8), ("channels", 32),
        ("sampling", 20), ("seed", 0),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--sigma", type=float, help="width of the motion around a path, in px (default: the model's)")
    given = vars(parser.parse_args(arguments))
    model, tables, device = given.pop("model"), given.pop("tables"), given.pop("device")
    if given["steps"] < 2:
        parser.error("--steps must be 2 or more: dense and sparse have at least one each")
    torch.set_num_threads(1)
    card = store.find(model)
    if card.family != "cogvideox" or card.variant != "t2v":
        parser.error(f"{model}: not a CogVideoX model for text to video")
    own = card.options["trajectory_sigma"].default if "trajectory_sigma" in card.options else SIGMA_PX
    given["sigma"] = given["sigma"] or own
    settings = Settings(**given)
    settings.out.mkdir(parents=True, exist_ok=True)
    run = Ablation(ToraBase.load(card, device), settings)
    result: dict[str, Any] = {"command": sys.argv[1:], "settings": {**given, "out": settings.out.name}}
    transformer = run.base.parts.transformer
    result["base"] = digest(transformer, lambda name: True)[:16]
    result["no path"] = run.without_path()
    for name in tables:
        rows = {"no path": result["no path"]}
        for title, variant in TABLES[name].items():
            rows[title] = run.row(variant)
            print(f"# {name}, {title}: {json.dumps(rows[title])}", file=sys.stderr, flush=True)
        result[name] = rows
        print(f"\n{table(name, rows)}\n", flush=True)
    if digest(transformer, lambda name: True)[:16] != result["base"]:
        raise RuntimeError("The base model changed.")
    text = json.dumps(result, indent=2) + "\n"
    (settings.out / "ablation.json").write_text(text, encoding="utf-8")
    print(f"seed {settings.seed}, base {result['base']}, results {hashlib.sha256(text.encode()).hexdigest()[:16]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
