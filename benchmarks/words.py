"""Score a miniature on held-out captions with the measures of the scorecard, next to true clips.

    python benchmarks/words.py --model kinema-mini-zeroscope --count 24 [--profile exact] [--base FOLDER] [--kinds fish]

Prints the accuracy of stated attributes in per cent (kind and colour of each object, place, light, motion, count) and
steadiness, for the model and for Toyland's own clips. Writes DIR/MODEL.png.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

import kinema
from kinema.evaluation.cases import ClipShape, cases
from kinema.evaluation.judge import Judge
from kinema.evaluation.probes import load_probes
from kinema.toyland.scene import WORLD_MINI
from kinema.training.core.sheets import sheet, strip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="kinema-mini-zeroscope")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--profile", default="exact")
    parser.add_argument("--base", help="another image model")
    parser.add_argument("--kinds", help="kinds of objects other than the miniature's, joined with commas")
    parser.add_argument("--out", type=Path, default=Path("runs/words"))
    args = parser.parse_args()
    world = replace(WORLD_MINI, kinds=tuple(args.kinds.split(","))) if args.kinds else WORLD_MINI
    engine = kinema.load(args.model)
    judge = Judge(load_probes(), world if not args.kinds else replace(world, kinds=(*WORLD_MINI.kinds, *world.kinds)))
    shape = ClipShape(frames=16, height=64, width=64, fps=8.0)
    options = {"base": args.base} if args.base else {}
    found: dict[str, dict[str, list[float]]] = {"made": defaultdict(list), "true": defaultdict(list)}
    rows, started = [], time.perf_counter()
    for case in cases(world, args.count, shape, lambda scene: scene.camera == "still"):
        clip = engine.generate(case.caption, seed=case.index, profile=args.profile, options=options).frames()
        for name, frames in (("made", clip), ("true", case.frames_FHWC)):
            for key, value in judge.caption(case, frames).items():
                found[name][key] += [float(each) for each in (value if isinstance(value, list) else [value])]
        rows.append((case.caption, [strip(clip, (0, 5, 10, 15))]))
    seconds = (time.perf_counter() - started) / args.count
    for name, measures in found.items():
        scale = {key: 1 if key == "steadiness" else 100 for key in measures}
        print(
            name, json.dumps({key: round(scale[key] * float(np.mean(values)), 1) for key, values in measures.items()})
        )
    print(json.dumps({"seconds_each": round(seconds, 2)}))
    sheet(rows[:16], args.out / f"{Path(args.model).name}.png", columns=2)


if __name__ == "__main__":
    main()
