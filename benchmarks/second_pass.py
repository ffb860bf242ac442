"""A second pass against plain enlarging: sharpness and what the probes read, on new prompts.

    python benchmarks/second_pass.py --count 16 [--second MODEL] [--side 96] [--strength 0.6] [--out DIR]

Sharpness: mean strength of edges (Sobel) against that of true renders at the same size, 1 is as sharp as they are.
Writes DIR/sheet.png: enlarged by Lanczos, second pass.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import kinema
from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import follow
from kinema.media.resize import resize_frames
from kinema.toyland.caption import describe
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.training.sheets import sheet, strip

FIRST = 8_000_000


def sharpness(frames_FHWC: np.ndarray) -> float:
    gray = frames_FHWC.astype(np.float32).mean(-1)
    return float(np.abs(np.diff(gray, axis=1)).mean() + np.abs(np.diff(gray, axis=2)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--model", default="kinema-mini-zeroscope")
    parser.add_argument("--second", default="xl")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--strength", type=float, default=0.6)
    parser.add_argument("--out", type=Path, default=Path("runs/second_pass"))
    given = parser.parse_args()
    engine, probes = kinema.load(given.model), load_probes()
    scenes = [scene for n in range(4 * given.count) if len((scene := sample_scene(FIRST + n, WORLD_MINI)).actors) == 1]
    scenes, side = scenes[: given.count], given.side
    again = {"model": given.second, "strength": given.strength, "width": side, "height": side}
    kinds: dict[str, list] = {"lanczos": [], "second pass": [], "true": []}
    rows = []
    for number, scene in enumerate(scenes):
        text = describe(scene, 0)
        first = engine.generate(text, seed=number, profile="exact").frames()
        large = resize_frames(first, side, side)
        passed = engine.generate(text, seed=number, profile="exact", second_pass=again).frames()
        true = render([scene], num_frames=len(first), height=side, width=side, fps=8.0).frames_BFHWC[0].numpy()
        for name, clip in (("lanczos", large), ("second pass", passed), ("true", true)):
            track = follow(probes.read(clip))
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
        told = {"sharpness": edges / means["true"][0], "object": 100 * kind, "color": 100 * color}
        print(name, json.dumps({key: round(float(value), 2) for key, value in told.items()}))
    sheet(rows[:16], given.out / "sheet.png", columns=4)


if __name__ == "__main__":
    main()
