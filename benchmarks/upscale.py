"""Upscaling by a model compared with Lanczos, on new prompts: sharpness and probe accuracy.

    python benchmarks/upscale.py --count 16 [--by MODEL] [--side 96] [--strength 0.6] [--out DIR]
    python benchmarks/upscale.py --count 4 --tiles [--profile balanced]

--tiles: upscale Toyland's own clips from 64x64 to 128x128 with `kinema upscale`, in tiles of 96 that overlap by a
quarter; also prints PSNR to true renders.

Sharpness: mean edge strength relative to true renders of the same size (1: equally sharp). Writes DIR/sheet.png: by
Lanczos, by the model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import kinema
from kinema.core.chunk import Chunk
from kinema.engine.upscale import upscale
from kinema.evaluation.judge import psnr
from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import track_object
from kinema.media.resize import resize_frames
from kinema.media.write import write
from kinema.toyland.caption import describe
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.training.core.sheets import sheet, strip

FIRST = 8_000_000
MODEL_OF_TILES = "kinema-mini-zeroscope-xl"


def sharpness(frames_FHWC: np.ndarray) -> float:
    gray = frames_FHWC.astype(np.float32).mean(-1)
    return float(np.abs(np.diff(gray, axis=1)).mean() + np.abs(np.diff(gray, axis=2)).mean())


def in_tiles(args: argparse.Namespace) -> None:
    engine, probes, side = kinema.load(MODEL_OF_TILES), load_probes(), 128
    scenes = [scene for n in range(4 * args.count) if len((scene := sample_scene(FIRST + n, WORLD_MINI)).actors) == 1]
    kinds: dict[str, list] = {"lanczos": [], "model": [], "true": []}
    rows, size = [], {"num_frames": 16, "fps": 8.0}
    for number, scene in enumerate(scenes[: args.count]):
        text = describe(scene, 0)
        small = render([scene], height=64, width=64, **size).frames_BFHWC[0].numpy()
        true = render([scene], height=side, width=side, **size).frames_BFHWC[0].numpy()
        with tempfile.TemporaryDirectory() as place:
            clip = write([Chunk(small, 0, 8.0)], Path(place) / "clip.mp4", quality="best")
            asked = upscale(clip, text, scale=2, strength=args.strength, model=MODEL_OF_TILES, seed=number,
                            profile=args.profile)  # fmt: skip
            passed = engine.generate(asked).frames()
        large = resize_frames(small, side, side)
        for name, made in (("lanczos", large), ("model", passed), ("true", true)):
            track = track_object(probes.read(made))
            kinds[name].append(
                (
                    sharpness(made), track.word("kind", WORLD_MINI.kinds) == scene.actors[0].kind,
                    track.word("color", WORLD_MINI.colors) == scene.actors[0].color, psnr(made, true),
                )
            )  # fmt: skip
        rows.append((text, [np.concatenate([strip(each, (0, 8, 15), 1) for each in (large, passed, true)])]))
    means = {name: np.mean(np.array(values, float), 0) for name, values in kinds.items()}
    for name, (edges, kind, color, near) in means.items():
        scores = {"sharpness": edges / means["true"][0], "object": 100 * kind, "color": 100 * color, "psnr": near}
        print(name, json.dumps({key: round(float(value), 2) for key, value in scores.items()}))
    sheet(rows, args.out / "tiles.png", columns=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--model", default="kinema-mini-zeroscope")
    parser.add_argument("--by", default="xl")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--strength", type=float, default=0.6)
    parser.add_argument("--out", type=Path, default=Path("runs/upscale"))
    parser.add_argument("--tiles", action="store_true")
    parser.add_argument("--profile", default="balanced")
    args = parser.parse_args()
    if args.tiles:
        in_tiles(args)
        return
    engine, probes = kinema.load(args.model), load_probes()
    scenes = [scene for n in range(4 * args.count) if len((scene := sample_scene(FIRST + n, WORLD_MINI)).actors) == 1]
    scenes, side = scenes[: args.count], args.side
    again = {"by": args.by, "strength": args.strength, "width": side, "height": side}
    kinds: dict[str, list] = {"lanczos": [], "model": [], "true": []}
    rows = []
    for number, scene in enumerate(scenes):
        text = describe(scene, 0)
        first = engine.generate(text, seed=number, profile="exact").frames()
        large = resize_frames(first, side, side)
        passed = engine.generate(text, seed=number, profile="exact", upscale=again).frames()
        true = render([scene], num_frames=len(first), height=side, width=side, fps=8.0).frames_BFHWC[0].numpy()
        for name, clip in (("lanczos", large), ("model", passed), ("true", true)):
            track = track_object(probes.read(clip))
            actor = scene.actors[0]
            kinds[name].append(
                (
                    sharpness(clip), track.word("kind", WORLD_MINI.kinds) == actor.kind,
                    track.word("color", WORLD_MINI.colors) == actor.color,
                )
            )  # fmt: skip
        picks = (0, len(first) // 2, len(first) - 1)
        rows.append((text, [np.concatenate([strip(large, picks, 1), strip(passed, picks, 1)])]))
    means = {name: np.mean(np.array(values, float), 0) for name, values in kinds.items()}
    for name, (edges, kind, color) in means.items():
        scores = {"sharpness": edges / means["true"][0], "object": 100 * kind, "color": 100 * color}
        print(name, json.dumps({key: round(float(value), 2) for key, value in scores.items()}))
    sheet(rows[:16], args.out / "sheet.png", columns=4)


if __name__ == "__main__":
    main()
