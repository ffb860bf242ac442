"""Effect of a domain adapter when motion is trained on clips of another style than the image model's.

    kinema train recipes/mini_animatediff.py --set style=neon --minutes 30 --out runs/neon
    kinema train recipes/mini_animatediff.py --set style=neon --set adapter=off --set clips=runs/neon \\
        --minutes 20 --out runs/neon_without
    python benchmarks/domain_adapter.py --with runs/neon --without runs/neon_without --count 16

The image model's style is flat, the training clips have STYLE. For both trainings: the share of new clips that the
probes classify as flat and as STYLE, and the accuracy of objects and colours; for the first also with its adapter
enabled.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import kinema
from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import track_object
from kinema.toyland.caption import describe
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.training.core.sheets import sheet, strip

FIRST = 6_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with", dest="adapted", type=Path, required=True)
    parser.add_argument("--without", type=Path, required=True)
    parser.add_argument("--style", default="neon")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("runs/domain"))
    args = parser.parse_args()
    probes = load_probes()
    scenes = [scene for n in range(4 * args.count) if len((scene := sample_scene(FIRST + n, WORLD_MINI)).actors) == 1]
    scenes = scenes[: args.count]
    adapter = {"kind": "style", "adapter": str(args.adapted / "domain.safetensors"), "weight": 1.0}
    runs = (
        ("with the stage, adapter off", args.adapted, []),
        ("without the stage", args.without, []),
        ("with the stage, adapter on", args.adapted, [adapter]),
    )
    strips: list[list[np.ndarray]] = [[] for _ in scenes]
    for name, folder, conditions in runs:
        engine = kinema.load(str(folder / "export"))
        flat = other = kind = color = 0
        for number, scene in enumerate(scenes):
            clip = engine.generate(
                describe(scene, 0), seed=number, steps=args.steps, profile="exact", conditions=conditions,
                guidance=5.0, fps=8.0, options={"base": "kinema-mini-image"},
            ).frames()  # fmt: skip
            reading, actor = probes.read(clip), scene.actors[0]
            track, style = track_object(reading), reading.word("style")
            flat, other = flat + (style == "flat"), other + (style == args.style)
            kind += track.word("kind", WORLD_MINI.kinds) == actor.kind
            color += track.word("color", WORLD_MINI.colors) == actor.color
            strips[number].append(strip(clip, (0, 7, 15)))
        share = {"flat": flat, args.style: other, "object": kind, "color": color}
        print(name, json.dumps({key: round(100 * value / len(scenes), 1) for key, value in share.items()}), flush=True)
    rows = [(describe(scene, 0), [np.concatenate(parts)]) for scene, parts in zip(scenes, strips, strict=True)]
    sheet(rows[:12], args.out / "sheet.png", columns=3)


if __name__ == "__main__":
    main()
