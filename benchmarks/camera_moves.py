"""Accuracy of MotionLoRAs for camera moves, on new prompts with one seed each, with and without the LoRA.

    python benchmarks/camera_moves.py --count 32 [--moves pan-left,zoom-in] [--adapters DIR] [--out DIR]

Prompts have objects that do not move, so that all motion is the camera's. For each move: the share of clips in which
the whole frame moves accordingly (evaluation.camera.strength above THRESHOLD; true moves measure 0.2 to 1.5, with
medians of 0.4 for zooms and 0.7 to 1 for the rest; true still clips 0.00), the same without the LoRA, and the accuracy
of object and colour, with and without. Writes DIR/MOVE.png with the first clips.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

import kinema
from kinema.evaluation.camera import strength
from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import track_object
from kinema.toyland.caption import describe_without_camera
from kinema.toyland.scene import CAMERAS, WORLD_MINI, sample_scene
from kinema.training.core.sheets import sheet, strip

FIRST, THRESHOLD = 7_000_000, 0.1
MODEL = "kinema-mini-animatediff"


def scenes(count: int) -> list:
    """Return held-out scenes with one object that does not move and a still camera."""
    found, seed, world = [], FIRST, replace(WORLD_MINI, motions=("stay",), some_change=0.0, some_spin=0.0)
    while len(found) < count:
        scene = sample_scene(seed, world)
        if len(scene.actors) == 1 and scene.camera == "still":
            found.append(scene)
        seed += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--moves", default=",".join(move for move in CAMERAS if move != "still"))
    parser.add_argument("--adapters", type=Path, help="a folder with MOVE.safetensors; default: the shipped ones")
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--profile", default="exact")
    parser.add_argument("--base", help="the image model, if the model's folder has none")
    parser.add_argument("--steps", type=int, help="default: the profile's")
    parser.add_argument(
        "--plain", type=Path, help="a .npy file for the clips without an adapter: read if it exists, else written"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/camera_moves"))
    args = parser.parse_args()
    engine, probes, chosen = kinema.load(args.model), load_probes(), scenes(args.count)

    more: dict = {} if args.steps is None else {"steps": args.steps}
    more |= {"options": {"base": args.base}} if args.base else {}

    def made(styles: list) -> list[np.ndarray]:
        return [
            engine.generate(
                describe_without_camera(scene), seed=number, conditions=styles, profile=args.profile, **more
            ).frames()
            for number, scene in enumerate(chosen)
        ]  # fmt: skip

    def facts(clips: list[np.ndarray]) -> dict[str, float]:
        tracks = [track_object(probes.read(clip)) for clip in clips]
        pairs = [(track, scene.actors[0]) for track, scene in zip(tracks, chosen, strict=True)]
        return {
            "object": 100 * np.mean([track.word("kind", WORLD_MINI.kinds) == actor.kind for track, actor in pairs]),
            "color": 100 * np.mean([track.word("color", WORLD_MINI.colors) == actor.color for track, actor in pairs]),
        }

    def moving(clips: list[np.ndarray], move: str) -> np.ndarray:
        return np.array([strength(clip, probes.read(clip), move, everything=True) for clip in clips])

    if args.plain and args.plain.is_file():
        plain = list(np.load(args.plain))
    else:
        plain = made([])
        if args.plain:
            np.save(args.plain, np.stack(plain))
    results = {"without": facts(plain)}
    print("without", results["without"], flush=True)
    for move in args.moves.split(","):
        file = str(args.adapters / f"{move}.safetensors") if args.adapters else f"mini-{move}"
        clips = made([{"kind": "style", "adapter": file, "weight": args.weight}])
        there, before = moving(clips, move), moving(plain, move)
        results[move] = {
            "right_percent": 100 * float((there > THRESHOLD).mean()), "median": float(np.median(there)),
            "without_percent": 100 * float((before > THRESHOLD).mean()), **facts(clips),
        }  # fmt: skip
        print(move, json.dumps({name: round(float(value), 2) for name, value in results[move].items()}), flush=True)
        results[move]["strengths"] = {"with": there.round(3).tolist(), "without": before.round(3).tolist()}
        picks = (0, 5, 10, 15)
        rows = [(describe_without_camera(chosen[n]), [strip(clips[n], picks)]) for n in range(min(12, len(clips)))]
        sheet(rows, args.out / f"{move}.png", columns=3)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
