"""Measure how well kinema-mini-tora follows paths that it was not trained on.

    python recipes/mini_tora_judge.py runs/mini_tora/export --out runs/mini_tora/judge
    python recipes/mini_tora_judge.py runs/mini_tora/export --files FOLDER --out runs/mini_tora/judge

Sixteen paths of each form (lines, waves, circles, pauses), with one object each; FOLDER: Tora's text files (one "x,y" a
line on a canvas of 256x256), scaled to the clip; and pairs of objects whose paths cross. The tracker is the probes. The
same prompts and noise without a path give the error of chance. Prints JSON; writes sheets with the paths drawn over the
frames.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from safetensors.torch import load_file
from transformers import AutoTokenizer, T5EncoderModel

from kinema.conditions.trajectory import read_points, resample
from kinema.evaluation.motion import trajectory_error
from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import track_object
from kinema.families.cogvideox.tora.networks import MotionGuidance
from kinema.toyland.free_path import free_path
from kinema.training.core.sheets import sheet, strip

sys.path.insert(0, str(Path(__file__).parent))
from mini_tora_motion import following, mean_and_median, with_path
from mini_tora_networks import FRAMES, GUIDANCE, MOTION_CHANNELS, PATHS, SIDE, STEPS, TOKENS

FORMS, EACH, CROSSING, BATCH = ("line", "wave", "circle", "pause"), 16, 16, 16
ROOM, SEED = 0.28, 30_000_000
PLACES = {"meadow": "in a meadow", "sea": "at sea", "desert": "in the desert", "snow": "in the snow"}
PICKS = (0, 4, 8, 12, 16)


@dataclass(frozen=True)
class Trial:
    """A prompt with its objects (kind, colour) and their paths (F, 2), fractions of the frame."""

    form: str
    prompt: str
    objects: tuple[tuple[str, str], ...]
    paths: tuple[np.ndarray, ...]


def named(rng: random.Random) -> tuple[str, str]:
    return rng.choice(PATHS.kinds), rng.choice(PATHS.colors)


def prompt_of(objects: Sequence[tuple[str, str]], place: str) -> str:
    names = [f"{'an' if color[0] in 'aeiou' else 'a'} {color} {kind}" for kind, color in objects]
    return f"{' and '.join(names)} {PLACES[place]}"


def trials(files: Path | None) -> list[Trial]:
    found = []
    for form in FORMS:
        for number in range(EACH):
            rng = random.Random(f"{form}/{SEED + number}")
            path, objects = resample(free_path(rng, ROOM, form), FRAMES), (named(rng),)
            found.append(Trial(form, prompt_of(objects, rng.choice(PATHS.backgrounds)), objects, (path,)))
    for file in sorted(files.glob("*.txt")) if files else ():
        points = read_points(file)
        rng = random.Random(file.stem)
        objects = (named(rng),)
        path = resample(points, FRAMES)
        found.append(Trial(f"file {file.stem}", prompt_of(objects, rng.choice(PATHS.backgrounds)), objects, (path,)))
    for number in range(CROSSING):
        rng = random.Random(f"crossing/{SEED + number}")
        first, second = named(rng), named(rng)
        while second[1] == first[1]:
            second = named(rng)
        low, high, aside = rng.uniform(0.2, 0.3), rng.uniform(0.7, 0.8), rng.uniform(0.05, 0.1)
        across = resample(((low, high - aside), (high, low - aside)), FRAMES)
        down = resample(((low, low + aside), (high, high + aside)), FRAMES)
        paths = (across, down[::-1].copy() if rng.random() < 0.5 else down)
        prompt = prompt_of((first, second), rng.choice(PATHS.backgrounds))
        found.append(Trial("crossing", prompt, (first, second), paths))
    return found


def open_model(folder: Path) -> tuple[CogVideoXPipeline, MotionGuidance]:
    """Load an exported model in float32."""
    weights = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    config = CogVideoXTransformer3DModel.load_config(folder / "transformer")
    transformer = CogVideoXTransformer3DModel.from_config(config)
    parts = {name: value for name, value in weights.items() if name.startswith(("fuser.", "traj_extractor."))}
    transformer.load_state_dict({name: value.float() for name, value in weights.items() if name not in parts})
    guidance = MotionGuidance.of(transformer.config, MOTION_CHANNELS)
    guidance.load_state_dict(parts, strict=False)
    pipeline = CogVideoXPipeline(
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer", trust_remote_code=False),
        text_encoder=T5EncoderModel.from_pretrained(
            folder / "text_encoder", dtype=torch.float32, trust_remote_code=False
        ),
        vae=AutoencoderKLCogVideoX.from_pretrained(folder / "vae", torch_dtype=torch.float32, trust_remote_code=False),
        scheduler=CogVideoXDDIMScheduler.from_pretrained(folder / "scheduler", trust_remote_code=False),
        transformer=transformer.eval(),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, guidance


def sampled(pipeline: CogVideoXPipeline, prompts: list[str], steps: int, guidance_scale: float) -> np.ndarray:
    """Sample clips, uint8 (B, F, H, W, 3)."""
    made = pipeline(
        prompts, height=SIDE, width=SIDE, num_frames=FRAMES, num_inference_steps=steps, guidance_scale=guidance_scale,
        max_sequence_length=TOKENS, generator=torch.Generator().manual_seed(SEED), output_type="np",
    ).frames  # fmt: skip
    return np.round(np.asarray(made) * 255).astype(np.uint8)


def scored(clip_FHWC: np.ndarray, trial: Trial) -> list[dict[str, Any]]:
    """For each object: its trajectory error in per cent of the side, 100 if it is never seen, and whether it has its
    colour and kind."""
    reading, found = load_probes().read(clip_FHWC), []
    for (kind, color), path in zip(trial.objects, trial.paths, strict=True):
        track = track_object(reading, kind, color)
        error = trajectory_error(track, path)
        found.append(
            {
                "error": 100.0 if error is None else error,
                "color": track.word("color", PATHS.colors) == color,
                "object": track.word("kind", PATHS.kinds) == kind,
            }
        )
    return found


def summary(trials: Sequence[Trial], made: Sequence[list[dict[str, Any]]], free: Sequence[list[dict[str, Any]]]) -> Any:
    """By form, and for all paths of one object: errors with and without a path, and per cent of colours and kinds."""
    groups: dict[str, list[int]] = {}
    for index, trial in enumerate(trials):
        groups.setdefault(trial.form.split()[0], []).append(index)
    groups["all of one object"] = [index for index, trial in enumerate(trials) if trial.form in FORMS]
    found = {}
    for name, indices in groups.items():
        mine = [one for index in indices for one in made[index]]
        without = [one["error"] for index in indices for one in free[index]]
        found[name] = {
            "objects": len(mine),
            "error_percent": mean_and_median([one["error"] for one in mine]),
            "error_without_path_percent": mean_and_median(without),
            "color_percent": round(100 * float(np.mean([one["color"] for one in mine])), 1),
            "kind_percent": round(100 * float(np.mean([one["object"] for one in mine])), 1),
        }
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--files", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    pipeline, guidance = open_model(options.model)
    asked, made, free, rows = trials(options.files), [], [], {}
    began = time.process_time()
    for first in range(0, len(asked), BATCH):
        part = asked[first : first + BATCH]
        prompts = [trial.prompt for trial in part]
        without = sampled(pipeline, prompts, options.steps, options.guidance)
        with following(pipeline, guidance, [[path * SIDE for path in trial.paths] for trial in part]):
            clips = sampled(pipeline, prompts, options.steps, options.guidance)
        for trial, clip, other in zip(part, clips, without, strict=True):
            made.append(scored(clip, trial))
            free.append(scored(other, trial))
            shown = clip
            for path in trial.paths:
                shown = with_path(shown, path * SIDE)
            rows.setdefault(trial.form.split()[0], []).append(
                (f"{made[-1][0]['error']:.1f} {trial.form}: {trial.prompt}", [strip(shown, PICKS)])
            )
    for form, pictures in rows.items():
        sheet(pictures, options.out / f"{form}.png", columns=2)
    result = {
        "steps": options.steps, "guidance": options.guidance, "processor_s": round(time.process_time() - began, 1),
        **summary(asked, made, free),
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "judge.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
