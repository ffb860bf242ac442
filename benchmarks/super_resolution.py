"""The super-resolution network against Lanczos: on true clips and on clips that kinema-mini-wan generates.

    python benchmarks/super_resolution.py [--network FOLDER] [--count 16] [--out DIR]

true: held-out Toyland clips rendered at 64x64, upscaled four times; PSNR in dB to the same scenes rendered at 256x256.
generated: one clip per caption (seeds 0, 1, ...; nothing picked), profile `balanced`; the probes' answers for the
object and its colour. For both: sharpness, the gradient energy as a share of the rendered scenes', and flicker, in gray
levels (evaluation/steadiness.py), next to that of the renders. Also prints processor
seconds per clip of 17 frames, and writes DIR/sheet.png (left by Lanczos, right by the network). Generated clips are
kept in DIR/clips for the next run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import kinema
from kinema.core.chunk import Chunk
from kinema.engine.upscale import upscaled_frames
from kinema.evaluation.cases import HELD_OUT
from kinema.evaluation.judge import psnr
from kinema.evaluation.probes import load_probes
from kinema.evaluation.steadiness import flicker
from kinema.evaluation.track import track_object
from kinema.toyland.caption import describe
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, Scene, sample_scene
from kinema.training.core.sheets import sheet, strip
from kinema.training.tasks.upscale import sharpness

FIRST = HELD_OUT + 500_000
SIDE, FRAMES, SCALE = 64, 17, 4
Upscaler = Callable[[np.ndarray], np.ndarray]


def upscaler(method: str, network: str | None) -> Upscaler:
    def run(frames_FHWC: np.ndarray) -> np.ndarray:
        chunks = upscaled_frames([Chunk(frames_FHWC, 0, 8.0)], SCALE, method, network)
        return np.concatenate([chunk.frames for chunk in chunks])

    return run


def rendered(scene: Scene, side: int) -> np.ndarray:
    return render([scene], num_frames=FRAMES, height=side, width=side).frames_BFHWC[0].numpy()


def generated(file: Path, caption: str, seed: int) -> np.ndarray:
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, kinema.generate(caption, seed=seed, profile="balanced", progress=False).frames())
    return np.load(file)


def edges(frames_FHWC: np.ndarray) -> float:
    return sharpness(torch.from_numpy(frames_FHWC).permute(0, 3, 1, 2).float() / 255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", help="a folder or file; default: the shipped one")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--flicker", type=int, default=8, help="clips of which flicker is measured")
    parser.add_argument("--out", type=Path, default=Path("runs/super_resolution"))
    args = parser.parse_args()
    probes = load_probes()
    ways = {"lanczos": upscaler("lanczos", None), "network": upscaler("network", args.network)}
    found: dict[str, list[dict[str, float]]] = {}
    rows = []
    singles = (scene for n in range(8 * args.count) if len((scene := sample_scene(FIRST + n, WORLD_MINI)).actors) == 1)
    for number, scene in zip(range(args.count), singles, strict=False):
        caption, large = describe(scene, 0), rendered(scene, SCALE * SIDE)
        made = generated(args.out / "clips" / f"{number:03d}.npy", caption, number)
        shown = []
        for source, clip in (("true", rendered(scene, SIDE)), ("generated", made)):
            for way, upscale in ways.items():
                began = time.process_time()
                upscaled = upscale(clip)
                one = {"cpu_s": time.process_time() - began, "sharpness": edges(upscaled) / edges(large)}
                if source == "true":
                    one["psnr_db"] = psnr(upscaled, large)
                else:
                    track = track_object(probes.read(upscaled))
                    one["object"] = 100.0 * (track.word("kind", WORLD_MINI.kinds) == scene.actors[0].kind)
                    one["color"] = 100.0 * (track.word("color", WORLD_MINI.colors) == scene.actors[0].color)
                    shown.append(strip(upscaled, (0, 8, 16), 1))
                if number < args.flicker:
                    one["flicker"] = flicker(upscaled, np.ones(upscaled.shape[:3], bool))
                found.setdefault(f"{source}, {way}", []).append(one)
        if number < args.flicker:
            found.setdefault("rendered", []).append({"flicker": flicker(large, np.ones(large.shape[:3], bool))})
        rows.append((f"{caption} (left Lanczos, right network)", shown))
    for name, values in found.items():
        means = {key: round(float(np.mean([one[key] for one in values if key in one])), 2) for key in values[0]}
        print(name, json.dumps(means))
    sheet(rows, args.out / "sheet.png", columns=1)


if __name__ == "__main__":
    main()
