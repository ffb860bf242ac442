"""What curation is worth: a LoRA trained on a heap of clips against one trained on the part that curation keeps, at
equal steps. Prints the tables of docs/curation.md.

    python benchmarks/curation_value.py --out runs/curation_value [--steps 400] [--count 24] [--prompts 32]

The heap is to teach a camera that pans to the left: half of it is such clips of Toyland, the other half has what heaps
have: still pictures, jumps between scenes, title cards, shaky cameras. `kinema.curation.curate` measures and marks it;
`kinema train lora` trains kinema-mini-animatediff on all clips and on the kept ones, with the same settings and seed;
new prompts, one seed each, are judged as in benchmarks/camera_moves.py.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import kinema
from kinema.core.chunk import Chunk
from kinema.curation.dataset import TABLE
from kinema.curation.run import curate
from kinema.curation.table import read_rows
from kinema.evaluation.camera import strength
from kinema.evaluation.probes import load_probes
from kinema.media.write import write
from kinema.toyland.caption import describe_without_camera
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, Scene, sample_scene

sys.path.insert(0, str(Path(__file__).parent))
from camera_moves import THRESHOLD, scenes

MODEL, MOVE, SIDE_PX, FRAMES, FPS = "kinema-mini-animatediff", "pan-left", 192, 16, 8.0
WORLD = replace(WORLD_MINI, motions=("stay",), some_change=0.0, some_spin=0.0, two_actors=0.0)
BAD = ("still", "jump", "title", "shaky")


def scene_of(seed: int, camera: str) -> Scene:
    scene = sample_scene(seed, WORLD)
    return replace(scene, camera=camera, camera_amount=0.0 if camera == "still" else 0.27)


def rendered(seed: int, camera: str) -> np.ndarray:
    found = render([scene_of(seed, camera)], num_frames=FRAMES, height=SIDE_PX, width=SIDE_PX, fps=FPS)
    return found.frames_BFHWC[0].numpy()


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
        picture = Image.fromarray(frame_HWC)
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
        seed, other = 100 + number, 900 + number
        if kind == "good":
            frames = rendered(seed, MOVE)
        elif kind == "still":
            frames = np.repeat(rendered(seed, "still")[:1], FRAMES, 0)
        elif kind == "jump":
            half = FRAMES // 2
            frames = np.concatenate([rendered(seed, "pan-right")[:half], rendered(other, "zoom-in")[:half]])
        elif kind == "title":
            frames = titled(rendered(seed, "still"), number)
        else:
            frames = shaken(rendered(seed, "still"), number)
        yield kind, describe_without_camera(scene_of(seed, "still")), frames


def curated(folder: Path, out: Path) -> dict[str, list[str]]:
    """The reasons of every file, by name; none for a kept one."""
    curate(folder, out, stages=("motion_vectors", "look", "text_area", "duplicates", "camera"), workers=0)
    found: dict[str, list[str]] = {}
    for row in read_rows(out / TABLE):
        why = list(row["reasons"] or [])
        if (row.get("seconds") or 0) < FRAMES / FPS:
            why.append("shorter than a window of the training")
        found.setdefault(str(row["source"]), []).extend(why)
    return found


def train(data: Path, out: Path, steps: int) -> Path:
    settings = {"model": MODEL, "rank": 16, "alpha": 32, "steps": steps, "samples": 0, "seed": 0, "lr": 0.004}
    more = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    command = ["train", "lora", "--data", str(data), "--out", str(out), "--minutes", "60", "--replace", *more]
    subprocess.run([sys.executable, "-m", "kinema", *command], check=True)
    return out / "lora.safetensors"


def judged(engine: object, adapter: Path | None, count: int, steps: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The strength of the move in clips of new prompts."""
    styles = [{"kind": "style", "adapter": str(adapter), "weight": 1.0}] if adapter else []
    probes, clips = load_probes(), []
    for number, scene in enumerate(scenes(count)):
        made = engine.generate(describe_without_camera(scene), seed=number, conditions=styles, steps=steps)  # type: ignore[attr-defined]
        clips.append(made.frames())
    return np.array([strength(clip, probes.read(clip), MOVE, everything=True) for clip in clips]), clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/curation_value"))
    parser.add_argument("--count", type=int, default=24, help="good clips, and as many bad ones")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--sampling", type=int, default=10, help="steps of the judged clips")
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    everything, kept = given.out / "heap", given.out / "kept"
    for folder in (everything, kept):
        folder.mkdir(parents=True)
    kinds = {}
    for number, (kind, caption, frames) in enumerate(heap(given.count)):
        name = f"{number:03}.mp4"
        kinds[name] = kind
        write(iter([Chunk(frames, 0, FPS)]), everything / name)
        (everything / name).with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")
    reasons = curated(everything, given.out / "dataset")
    for kind in ("good", *BAD):
        names = [name for name in kinds if kinds[name] == kind]
        dropped = [name for name in names if reasons[name]]
        why = Counter(reason for name in dropped for reason in set(reasons[name]))
        shown = ", ".join(f"{reason} ({num})" for reason, num in why.most_common(3))
        print(f"| {kind} | {len(names)} | {len(names) - len(dropped)} | {shown} |", flush=True)
    for name in (name for name in kinds if not reasons[name]):
        for file in (everything / name, (everything / name).with_suffix(".txt")):
            shutil.copy(file, kept / file.name)
    adapters = {
        "without": None,
        "heap": train(everything, given.out / "lora_heap", given.steps),
        "curated": train(kept, given.out / "lora_kept", given.steps),
    }
    engine, results = kinema.load(MODEL), {}
    for name, adapter in adapters.items():
        there, clips = judged(engine, adapter, given.prompts, given.sampling)
        np.save(given.out / f"{name}.npy", np.stack(clips[:6]))
        results[name] = there.round(3).tolist()
        right = 100 * float((there > THRESHOLD).mean())
        print(f"| {name} | {right:.1f} % | {np.median(there):.2f} | {there.mean():.2f} |", flush=True)
    (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
