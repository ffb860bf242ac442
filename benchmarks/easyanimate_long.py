"""Clips of 145 frames by a model of EasyAnimate's paper (arXiv 2405.18991), at once and in windows: whether the object,
its colour and the place last, how much the background flickers, and the memory of decoding.

    python benchmarks/easyanimate_long.py                                  # kinema-mini-easyanimate
    python benchmarks/easyanimate_long.py --model FOLDER --clips 32 --out sheets

Every row has the same held-out captions, with seeds 0, 1, ... The probes read the first and the last second of
each clip, as clips of their own; only what the caption states counts. "first", "last": per cent right. "kept": per cent
of the clips of which the probes read the same in both. "flicker": gray levels by which the background differs from the
best match in the frame before. "renders" are the true clips: what the measures give for a perfect model. "pictures":
motion modules switched off.

Memory is that of a new process which loads the model and decodes noise, slice by slice, as the engine does, and all
slices at a time. Prints a table and JSON; writes a sheet per row, the table and JSON with --out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
ATTRIBUTES = ("object", "color", "background")
PICKED = 10
MODES = ("slices", "at once")


def seconds_of(clip_FHWC: np.ndarray, fps: float) -> dict[str, np.ndarray]:
    count = round(fps)
    return {"first": clip_FHWC[:count], "last": clip_FHWC[-count:]}


def words(judge: Any, frames_FHWC: np.ndarray) -> dict[str, str]:
    """What the probes read, whatever the caption says."""
    from kinema.evaluation.track import track_object

    reading = judge.read(frames_FHWC)
    track, world = track_object(reading), judge.world
    return {
        "object": track.word("kind", world.kinds), "color": track.word("color", world.colors),
        "background": reading.word("background"),
    }  # fmt: skip


def scores(judge: Any, case: Any, clip_FHWC: np.ndarray, fps: float) -> dict[str, float]:
    """Measures of one clip, 1 for right; of "kept", 1 if the reading is the same in both seconds."""
    from kinema.evaluation.camera import background
    from kinema.evaluation.steadiness import flicker

    found: dict[str, float] = {"flicker": flicker(clip_FHWC, background(judge.read(clip_FHWC)))}
    parts = seconds_of(clip_FHWC, fps)
    for when, frames in parts.items():
        right = judge.caption(case, frames)
        for name in ATTRIBUTES:
            if name in right:
                found[f"{name} {when}"] = float(np.mean(right[name]))
    first, last = (words(judge, frames) for frames in parts.values())
    return found | {f"{name} kept": float(first[name] == last[name]) for name in ATTRIBUTES}


def table_of(rows: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Means by row; of right answers in per cent."""
    found: dict[str, dict[str, float]] = {}
    for title, clips in rows.items():
        names = sorted({name for clip in clips for name in clip})
        means = {name: float(np.mean([clip[name] for clip in clips if name in clip])) for name in names}
        found[title] = {
            name: round(value, 2) if name == "flicker" else round(100 * value, 1) for name, value in means.items()
        }
    return found


def markdown(found: dict[str, dict[str, float]]) -> str:
    """A table with a column for each attribute: first / last / kept."""
    lines = ["| clip | object: first, last, kept | colour | place | flicker |", "|---|---|---|---|---|"]
    for title, row in found.items():
        cells = [", ".join(f"{row[f'{name} {when}']:.0f}" for when in ("first", "last", "kept")) for name in ATTRIBUTES]
        lines.append(f"| {title} | {' | '.join(cells)} | {row['flicker']:.2f} |")
    return "\n".join(lines)


def judged(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    import kinema
    from kinema.core.request import Request
    from kinema.evaluation.cases import cases, one_object_still_camera, world_from
    from kinema.evaluation.judge import Judge
    from kinema.evaluation.probes import load_probes
    from kinema.evaluation.worker import Subject
    from kinema.toyland.render import render
    from kinema.training.core.sheets import sheet, strip

    subject = Subject(args.model)
    engine, card = kinema.load(args.model), subject.card
    world, fps, trained = world_from(subject.facts), card.defaults.fps, card.frames.trained
    judge = Judge(load_probes(), world)
    ways: dict[str, dict[str, Any]] = {f"{trained} frames": {"frames": trained}}
    ways |= {f"{args.frames} frames at once": {"frames": args.frames}}
    windows = {"context_length": trained, "context_overlap": args.overlap}
    ways |= {f"{args.frames} frames in windows of {trained}": {"frames": args.frames, "options": windows}}
    ways |= {f"{args.frames} frames, pictures": {"frames": args.frames, "options": {"motion_module": False}}}
    rows: dict[str, list[dict[str, float]]] = {f"renders of {args.frames}": [], **{title: [] for title in ways}}
    strips: dict[str, list[Any]] = {title: [] for title in rows}
    for case in cases(world, args.clips, subject.shape, one_object_still_camera):
        size = {"height": subject.shape.height, "width": subject.shape.width}
        made = {f"renders of {args.frames}": render(
            [case.scene], num_frames=args.frames, fps=fps, **size
        ).frames_BFHWC[0].numpy()}  # fmt: skip
        for title, way in ways.items():
            asked = Request(
                prompt=case.caption, model=args.model, seed=case.index, profile=args.profile, **way
            )  # fmt: skip
            made[title] = engine.generate(engine.plan(asked)).frames()
        for title, clip in made.items():
            rows[title].append(scores(judge, case, clip, fps))
            picks = [round(each) for each in np.linspace(0, len(clip) - 1, PICKED)]
            strips[title].append((case.caption, [strip(clip, picks, 1)]))
        print(f"clip {case.index + 1}/{args.clips}", file=sys.stderr, flush=True)
    if args.out is not None:
        for title, drawn in strips.items():
            sheet(drawn, args.out / f"{title.replace(' ', '_').replace(',', '')}.png", columns=2)
    return table_of(rows)


def decode_once(model: str, frames: int, mode: str) -> dict[str, float]:
    """Decode noise in this process. Returns the peak of the process's memory, and of the tensors that decoding made
    and that were alive at once, in MB."""
    import torch

    import kinema

    engine = kinema.load(model)
    family: Any = engine.family
    planned, vae = engine.plan("a red ball", frames=frames, profile="exact"), family.parts.vae
    grid = planned.height // vae.space, planned.width // vae.space
    latents = torch.randn(
        (1, vae.config.latent_channels, (frames - 1) // 4 + 1, *grid), generator=torch.Generator().manual_seed(0)
    )
    with live_tensors() as live, torch.no_grad():
        if mode == "slices":
            for _ in family.decode(latents, planned, planned.spans[0]):
                pass
        else:
            vae.decode(latents).sample.clamp(-1, 1)
    return {
        "process_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "tensors_mb": live.peak / 1e6,
    }  # fmt: skip


def live_tensors() -> Any:
    """A context that counts the bytes of the storages that operations in it make; `peak`: most at once."""
    import weakref

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class LiveTensors(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.alive: dict[int, int] = {}
            self.peak = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = {each.untyped_storage()._cdata for each in tree_leaves(args) if isinstance(each, torch.Tensor)}
            made = function(*args, **(kwargs or {}))
            for each in tree_leaves(made):
                if isinstance(each, torch.Tensor):
                    storage = each.untyped_storage()
                    if storage._cdata not in self.alive and storage._cdata not in given:
                        self.alive[storage._cdata] = storage.nbytes()
                        weakref.finalize(storage, self.alive.pop, storage._cdata, None)
            self.peak = max(self.peak, sum(self.alive.values()))
            return made

    return LiveTensors()


def memory(model: str, lengths: list[int]) -> dict[str, dict[str, Any]]:
    """By mode and number of frames, in new processes; "ratio": of the last to the first number."""
    found: dict[str, dict[str, Any]] = {}
    for mode in MODES:
        row = found.setdefault(mode, {})
        for frames in lengths:
            command = [sys.executable, __file__, "--model", model, "--peak", str(frames), "--mode", mode]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            row[str(frames)] = {name: round(value, 1) for name, value in json.loads(said.splitlines()[-1]).items()}
        first, last = row[str(lengths[0])], row[str(lengths[-1])]
        row["ratio"] = {name: round(last[name] / first[name], 3) for name in first}
    return found


def memory_table(found: dict[str, dict[str, Any]], lengths: list[int]) -> str:
    columns = [*(f"{frames} frames" for frames in lengths), "ratio"]
    lines = [f"| memory while decoding | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for mode, row in found.items():
        for name, title in (("tensors_mb", "live tensors, MB"), ("process_mb", "process, MB")):
            cells = [f"{row[str(frames)][name]:.1f}" for frames in lengths] + [f"{row['ratio'][name]:.2f}"]
            lines.append(f"| {mode}: {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="kinema-mini-easyanimate")
    parser.add_argument("--frames", type=int, default=145)
    parser.add_argument("--overlap", type=int, default=8)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--profile", default="exact")
    parser.add_argument("--memory", type=int, nargs="*", default=[49, 145])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=MODES, default="slices", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(json.dumps(decode_once(args.model, args.peak, args.mode)))
        return
    result: dict[str, Any] = {"model": args.model, "clips": args.clips, "profile": args.profile}
    text = []
    if args.memory:  # before the clips: a child begins with the peak of its parent
        result["memory"] = memory(args.model, args.memory)
        text.append(memory_table(result["memory"], args.memory))
    if args.clips:
        result["clip"] = judged(args)
        text.insert(0, markdown(result["clip"]))
    print("\n\n".join(text))
    print(json.dumps(result, indent=1))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "long.md").write_text("\n\n".join(text) + "\n", encoding="utf-8")
        (args.out / "long.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
