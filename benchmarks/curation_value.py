"""What curation is worth: a LoRA trained on a heap of clips against one trained on the part that curation keeps, at
equal steps. Prints the tables of docs/curation.md.

    python benchmarks/curation_value.py --out runs/curation_value [--steps 400] [--count 32] [--prompts 48]

The heap is to teach kinema-mini-wan a look: all its clips have their colour channels exchanged. Half of it is moving
clips of Toyland, the other half has what heaps have: still pictures, jumps between scenes, title cards, shaky cameras.
`kinema.curation.curate` measures and marks it; `kinema train lora` trains on all clips and on the kept ones, with the
same settings and seed. Judged are:

- the error of the network on clean clips of new scenes in the look, with the same noise for all;
- clips of new prompts, one seed each: the scorecard, after the channels are exchanged back; the share that the same
  curation would drop, and why.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import kinema
from kinema.core.chunk import Chunk
from kinema.curation.dataset import TABLE
from kinema.curation.run import curate
from kinema.curation.table import read_rows
from kinema.evaluation.cases import Case, ClipShape, cases
from kinema.evaluation.judge import Judge
from kinema.evaluation.probes import load_probes
from kinema.evaluation.yardsticks import bootstrap
from kinema.media.write import write
from kinema.toyland.caption import describe
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, Scene, sample_scene
from kinema.training import families
from kinema.training.core.sheets import sheet, strip
from kinema.training.tasks import lora
from kinema.weights import store

MODEL, SIDE_PX, FRAMES, FPS = "kinema-mini-wan", 192, 17, 8.0
SETTINGS = {"model": MODEL, "rank": 16, "batch": 8, "lr": 0.004, "drop": 0.1, "samples": 0}
WORLD = replace(
    WORLD_MINI, motions=("left", "right", "up", "down", "diagonal", "circle", "bounce"),
    some_change=0.0, some_spin=0.0, two_actors=0.0, moving_camera=0.0, some_weather=0.0, other_style=0.0,
)  # fmt: skip
BAD = ("still", "jump", "title", "shaky")
STAGES = ("motion_vectors", "look", "text_area", "duplicates", "camera")
LOOK, BACK = [1, 2, 0], [2, 0, 1]
"""The channels of the look, and of the way back."""
LEVELS = (0.3, 0.6, 0.9)
"""Noise levels of the errors; 1 is pure noise."""
HEAP, NEW = 100, 5_000_000


def rendered(scene: Scene, side_px: int = SIDE_PX) -> np.ndarray:
    """(F, H, W, 3) in the look."""
    found = render([scene], num_frames=FRAMES, height=side_px, width=side_px, fps=FPS)
    return found.frames_BFHWC[0].numpy()[..., LOOK]


def shaken(frames_FHWC: np.ndarray, seed: int) -> np.ndarray:
    """Every frame moved by a random way, up to an eighth of the frame."""
    most, generator = SIDE_PX // 8, np.random.default_rng(seed)
    wide = np.pad(frames_FHWC, ((0, 0), (most, most), (most, most), (0, 0)), "edge")
    places = generator.integers(0, 2 * most + 1, (len(frames_FHWC), 2))
    return np.stack([one[y : y + SIDE_PX, x : x + SIDE_PX] for one, (y, x) in zip(wide, places, strict=True)])


def titled(frames_FHWC: np.ndarray, number: int) -> np.ndarray:
    """A title over all frames, as a card that does not move with the picture."""
    face, out = ImageFont.load_default(26), []
    words = ("A Long Way Home", "Episode Four", "The Red Balloon", "By the Sea", "Two Friends", "Night Train")
    for frame_HWC in frames_FHWC:
        picture = Image.fromarray(np.ascontiguousarray(frame_HWC))
        draw = ImageDraw.Draw(picture)
        draw.rectangle([0, 60, SIDE_PX, 130], fill=(20, 20, 30))
        draw.text((SIDE_PX / 2, 95), words[number % len(words)], font=face, fill=(250, 250, 240), anchor="mm")
        out.append(np.asarray(picture))
    return np.stack(out)


def heap(count: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """(kind, caption, frames) of `count` good clips and as many bad ones, shuffled."""
    order = ["good"] * count + [BAD[number % len(BAD)] for number in range(count)]
    random.Random(0).shuffle(order)
    for number, kind in enumerate(order):
        scene, half = sample_scene(HEAP + number, WORLD), FRAMES // 2
        frames = rendered(scene)
        if kind == "still":
            frames = np.repeat(frames[half][None], FRAMES, 0)
        elif kind == "jump":
            frames = np.concatenate([frames[:half], rendered(sample_scene(HEAP + 900 + number, WORLD))[half:]])
        elif kind == "title":
            frames = titled(frames, number)
        elif kind == "shaky":
            frames = shaken(frames, number)
        yield kind, describe(scene, 0), frames


def dropped(folder: Path, out: Path) -> dict[str, list[str]]:
    """The reasons of every file, by name; none for a kept one."""
    shutil.rmtree(out, ignore_errors=True)
    curate(folder, out, stages=STAGES, workers=0)
    found: dict[str, list[str]] = {}
    for row in read_rows(out / TABLE):
        why = list(row["reasons"] or [])
        if (row.get("seconds") or 0) < FRAMES / FPS:
            why.append("shorter than a window of the training")
        found.setdefault(str(row["source"]), []).extend(why)
    return found


def save(folder: Path, clips: Iterable[tuple[str, np.ndarray]]) -> None:
    folder.mkdir(parents=True)
    for number, (caption, frames) in enumerate(clips):
        write(iter([Chunk(np.ascontiguousarray(frames), 0, FPS)]), folder / f"{number:03}.mp4")
        (folder / f"{number:03}.txt").write_text(caption + "\n", encoding="utf-8")


def train(data: Path, out: Path, steps: int, seed: int) -> Path:
    settings = SETTINGS | {"steps": steps, "seed": seed}
    more = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    command = ["train", "lora", "--data", str(data), "--out", str(out), "--minutes", "60", "--replace", *more]
    subprocess.run([sys.executable, "-m", "kinema", *command], check=True, stdout=subprocess.DEVNULL)
    return out


class Errors:
    """The error of the network on clean clips of new scenes in the look, by clip, with and without layers. Every clip
    has the same noise for all."""

    def __init__(self, count: int) -> None:
        self.learner: Any = families.learner(store.find(MODEL), "", "cpu", FRAMES, FPS)
        size = 64
        scenes = [sample_scene(NEW + number, WORLD) for number in range(count)]
        self.latents_BCTHW = torch.stack([self.learner.encode(rendered(scene, size)) for scene in scenes]).transpose(
            1, 2
        )
        self.states = self.learner.states([describe(scene, 0) for scene in scenes])
        lora.add(self.learner.network, rank=int(str(SETTINGS["rank"])), alpha=int(str(SETTINGS["rank"])))
        self.extra = {"control_hidden_states": self.learner.empty_context(size, size)}

    @torch.no_grad()
    def of(self, layers: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
        """(clips, LEVELS). layers: (down, up) by name; none: the network without a LoRA."""
        network, x0, found = self.learner.network, self.latents_BCTHW.float(), []
        for name, module in network.named_modules():
            if hasattr(module, "lora_A") and lora.NAME in module.lora_A:
                module.lora_B[lora.NAME].weight.zero_()
                if layers:
                    module.lora_A[lora.NAME].weight.copy_(layers[name][0])
                    module.lora_B[lora.NAME].weight.copy_(layers[name][1])
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
        for level in LEVELS:
            predicted = network(
                hidden_states=(1 - level) * x0 + level * noise, timestep=torch.full((len(x0),), 1000 * level),
                encoder_hidden_states=self.states, return_dict=False,
                **{name: x.expand(len(x0), *x.shape[1:]) for name, x in self.extra.items()},
            )[0]  # fmt: skip
            found.append((predicted - (noise - x0)).square().mean((1, 2, 3, 4)).numpy())
        return np.stack(found, 1)


def generated(engine: Any, adapter: Path | None, chosen: list[Case], steps: int) -> list[np.ndarray]:
    styles = [{"kind": "style", "adapter": str(adapter / "lora.safetensors"), "weight": 1.0}] if adapter else []
    return [engine.generate(case.caption, seed=case.index, conditions=styles, steps=steps).frames() for case in chosen]


def judged(clips: list[np.ndarray], chosen: list[Case], back: bool) -> dict[str, list[float]]:
    """The scorecard by clip. back: exchange the channels back before."""
    judge, found = Judge(load_probes(), WORLD), {}
    for clip, case in zip(clips, chosen, strict=True):
        answers = judge.caption(case, np.ascontiguousarray(clip[..., BACK]) if back else clip)
        for name in ("object", "color", "background", "motion", "all", "steadiness"):
            value = answers.get(name)
            found.setdefault(name, []).append(float(np.mean(value)) if value not in (None, []) else np.nan)
    return found


def enlarged(clip_FHWC: np.ndarray) -> np.ndarray:
    """To the size of the heap, for the curation."""
    return np.stack([np.asarray(Image.fromarray(frame).resize((SIDE_PX, SIDE_PX))) for frame in clip_FHWC])


def shown(values: Iterable[float], scale: float = 1.0, digits: int = 1) -> str:
    x = np.array(list(values)) * scale
    low, high = bootstrap.mean_interval(x) or (np.nan, np.nan)
    return f"{np.nanmean(x):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/curation_value"))
    parser.add_argument("--count", type=int, default=32, help="good clips, and as many bad ones")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--prompts", type=int, default=48, help="0: the errors only")
    parser.add_argument("--errors", type=int, default=128, help="clips of the errors")
    parser.add_argument("--sampling", type=int, default=12, help="steps of the judged clips")
    parser.add_argument("--seeds", default="0", help="of the trainings, joined with commas")
    given = parser.parse_args()
    torch.set_num_threads(1)
    shutil.rmtree(given.out, ignore_errors=True)
    everything, kept = given.out / "heap", given.out / "kept"
    clips = list(heap(given.count))
    save(everything, ((caption, frames) for _, caption, frames in clips))
    kinds = {f"{number:03}.mp4": kind for number, (kind, _, _) in enumerate(clips)}
    reasons = dropped(everything, given.out / "dataset")
    print("| clips | in the heap | kept | reasons |\n|---|---|---|---|")
    for kind in ("good", *BAD):
        names = [name for name in kinds if kinds[name] == kind]
        out = [name for name in names if reasons[name]]
        why = Counter(reason for name in out for reason in set(reasons[name]))
        words = ", ".join(f"{reason} ({num})" for reason, num in why.most_common(3))
        print(f"| {kind} | {len(names)} | {len(names) - len(out)} | {words} |", flush=True)
    kept.mkdir()
    for name in (name for name in kinds if not reasons[name]):
        for file in (everything / name, (everything / name).with_suffix(".txt")):
            shutil.copy(file, kept / file.name)
    runs: dict[str, Path | None] = {"nothing": None}
    for seed in map(int, given.seeds.split(",")):
        runs[f"the heap, seed {seed}"] = train(everything, given.out / f"heap_{seed}", given.steps, seed)
        runs[f"the kept clips, seed {seed}"] = train(kept, given.out / f"kept_{seed}", given.steps, seed)
    errors = Errors(given.errors)
    results: dict[str, Any] = {}
    for name, run in runs.items():
        by_clip = errors.of(torch.load(run / "layers.pt", weights_only=True) if run else {})
        results[name] = {"errors": by_clip.tolist()}
        print(f"| {name} | " + " | ".join(shown(by_clip[:, k], 1, 4) for k in range(len(LEVELS))) + " |", flush=True)
    names = [name for name in runs if name != "nothing"]
    compare_errors(results, names)
    (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if not given.prompts:
        return
    engine: Any = kinema.load(MODEL)
    chosen = list(cases(WORLD, given.prompts, ClipShape(FRAMES, 64, 64, FPS)))
    strips: list[list[np.ndarray]] = []
    for name, run in runs.items():
        made = generated(engine, run, chosen, given.sampling)
        np.save(given.out / f"clips_{len(strips)}.npy", np.stack(made))
        scores = judged(made, chosen, back=run is not None)
        folder = given.out / f"made_{len(strips)}"
        save(folder, ((case.caption, enlarged(clip)) for case, clip in zip(chosen, made, strict=True)))
        why_not = dropped(folder, given.out / f"judged_{len(strips)}")
        scores["dropped"] = [float(bool(why)) for why in why_not.values()]
        why = Counter(reason for each in why_not.values() for reason in set(each))
        strips.append([strip(clip, [0, 4, 8, 12, 16]) for clip in made[:8]])
        results[name] |= {"scores": scores, "why": dict(why)}
        cells = [shown(scores[key], 1 if key == "steadiness" else 100) for key in scores]
        print(f"| {name} | " + " | ".join(cells) + f" | {dict(why)} |", flush=True)
    (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    rows = [(case.caption, [each[row] for each in strips[:3]]) for row, case in enumerate(chosen[:8])]
    sheet(rows, given.out / "sheet.png", columns=1)
    compare_scores(results, names)


def compare_errors(results: dict[str, Any], names: list[str]) -> None:
    """The kept clips over the heap, by clip, the seeds together."""
    pairs = list(zip(names[::2], names[1::2], strict=True))
    for k, level in enumerate(LEVELS):
        gap = [
            np.array(results[one]["errors"])[:, k] / np.array(results[other]["errors"])[:, k] - 1
            for other, one in pairs
        ]  # fmt: skip
        print(f"| error at noise {level}, kept / heap - 1 | " + shown(np.mean(gap, 0), 100, 2) + " % |")


def compare_scores(results: dict[str, Any], names: list[str]) -> None:
    """The kept clips minus the heap, by clip, the seeds together."""
    pairs = list(zip(names[::2], names[1::2], strict=True))
    for key in results[names[0]]["scores"]:
        gap = [np.array(results[one]["scores"][key]) - np.array(results[other]["scores"][key]) for other, one in pairs]
        print(f"| {key} | " + shown(np.nanmean(gap, 0), 1 if key == "steadiness" else 100) + " |")


if __name__ == "__main__":
    main()
