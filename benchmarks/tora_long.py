"""How a model of Tora follows paths in clips longer than those of its training: trajectory error and peak memory.

    python benchmarks/tora_long.py                                  # kinema-mini-tora
    python benchmarks/tora_long.py --model FOLDER --frames 17 65 --paths 16 --out sheets

Every length has the same paths (lines, waves, circles and pauses that were not trained on), prompts and seeds, computed
in windows of the trained length at every step (`context_length`); a path takes the whole clip, however long it is. The
tracker is the probes. Memory is the peak of a new process that generates one clip and writes it as a file; "KB per
added frame" compares neighbouring lengths. Prints JSON; writes a sheet per length with --out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
FORMS, ROOM, SEED = ("line", "wave", "circle", "pause"), 0.28, 30_000_000
KINDS, COLORS = ("ball", "square", "triangle", "star"), ("red", "blue", "green", "yellow")
PICKED = 9


def trials(count: int) -> list[tuple[str, str, str, tuple[tuple[float, float], ...]]]:
    """(kind, colour, prompt, path) of `count` clips."""
    from kinema.toyland.free_path import free_path

    found = []
    for number in range(count):
        form = FORMS[number % len(FORMS)]
        rng = random.Random(f"{form}/{SEED + number // len(FORMS)}")
        path = free_path(rng, ROOM, form)
        kind, color = rng.choice(KINDS), rng.choice(COLORS)
        found.append((kind, color, f"a {color} {kind} in a meadow", path))
    return found


def request(model: str, frames: int, trained: int, number: int, prompt: str, path: Any) -> Any:
    from kinema.core.conditions import Trajectory
    from kinema.core.request import Request

    options = {"context_length": trained} if frames > trained else {}
    return Request(
        prompt=prompt, model=model, frames=frames, seed=number, profile="exact", options=options,
        conditions=(Trajectory(points=path),),
    )  # fmt: skip


def errors(model: str, frames: int, trained: int, count: int, out: Path | None) -> dict[str, Any]:
    """Trajectory errors, in % of the side, of one length."""
    import kinema
    from kinema.conditions.trajectory import fractions
    from kinema.evaluation.motion import trajectory_error
    from kinema.evaluation.probes import load_probes
    from kinema.evaluation.track import track_object
    from kinema.training.core.sheets import sheet, strip

    engine, probes, found, rows = kinema.load(model), load_probes(), [], []
    for number, (kind, color, prompt, path) in enumerate(trials(count)):
        planned = engine.plan(request(model, frames, trained, number, prompt, path))
        clip = np.concatenate([chunk.frames for chunk in engine.stream(planned)])
        track = track_object(probes.read(clip), kind, color)
        [given] = [fractions(each, frames) for each in planned.conditions if each.kind == "trajectory"]
        error = trajectory_error(track, given)
        found.append(100.0 if error is None else error)
        picks = tuple(round(each) for each in np.linspace(0, frames - 1, PICKED))
        rows.append((f"{found[-1]:.1f} {prompt}", [strip(clip, picks)]))
    if out is not None:
        sheet(rows, out / f"frames_{frames}.png", columns=2)
    return {"mean": round(float(np.mean(found)), 2), "median": round(float(np.median(found)), 2)}


def write_one(model: str, frames: int, trained: int) -> float:
    """Generate and write one clip in this process; return its peak memory in KB."""
    import kinema

    _, _, prompt, path = trials(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        kinema.load(model).generate(request(model, frames, trained, 0, prompt, path)).save(Path(folder) / "clip.mp4")
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="kinema-mini-tora")
    parser.add_argument("--frames", type=int, nargs="+", default=[17, 65])
    parser.add_argument("--memory", type=int, nargs="*", default=[17, 33, 49, 65, 81])
    parser.add_argument("--paths", type=int, default=16)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    import kinema
    from kinema.weights.store import find

    trained = find(args.model).frames.trained
    if args.peak:
        print(write_one(args.model, args.peak, trained))
        return
    result: dict[str, Any] = {"model": args.model, "paths": args.paths, "kinema": kinema.__version__}
    result["error_percent"] = {
        frames: errors(args.model, frames, trained, args.paths, args.out) for frames in args.frames
    }
    peaks = {}
    for frames in args.memory:
        command = [sys.executable, __file__, "--model", args.model, "--peak", str(frames)]
        peaks[frames] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
    result["peak_mb"] = {frames: round(peak / 1024, 1) for frames, peak in peaks.items()}
    pairs = zip(list(peaks.items())[:-1], list(peaks.items())[1:], strict=True)
    result["kb_per_added_frame"] = {
        f"{first} to {second}": round((more - less) / (second - first)) for (first, less), (second, more) in pairs
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
