"""Train the probes of src/kinema/evaluation on Toyland renders, on one CPU core.

python recipes/probes.py --minutes 14 --out runs/probes              # train, measure, export
python recipes/probes.py --minutes 14 --out runs/probes --resume     # resume a killed run
python recipes/probes.py --out runs/probes --stage export            # measure and export the last checkpoint
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema import evaluation
from kinema.evaluation.cases import HELD_OUT_PROBES, ClipShape
from kinema.evaluation.check import check
from kinema.evaluation.degrade import degrade, degraded
from kinema.evaluation.network import ProbeNet
from kinema.evaluation.probe_data import LabelledFrames, flipped, labelled_frames, loss
from kinema.evaluation.probes import Probes, save_probes
from kinema.toyland.scene import WORLD, WORLD_SMALL, Scene, World, sample_scene, without_objects
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import LoopConfig, train

BATCH, SCENES, FRAMES_EACH, REUSE = 64, 64, 4, 2
STEPS_A_POOL = SCENES * FRAMES_EACH * REUSE // BATCH
EMPTY_EVERY = 8


def small_world() -> World:
    """The world of the first miniature (recipes/mini_wan.py), with more scenes of two objects."""
    return replace(
        WORLD_SMALL, kinds=("ball", "square", "triangle", "star", "heart", "car"), styles=("flat",), weathers=("none",),
        two_actors=0.25, moving_camera=0.2,
    )  # fmt: skip


def worlds() -> tuple[World, ...]:
    """The training worlds: small world and all of Toyland, each with and without small details."""
    both = (small_world(), replace(WORLD, two_actors=0.35))
    return tuple(replace(world, detail=detail) for world in both for detail in ("full", "plain"))


def scene(seed: int) -> Scene:
    found = sample_scene(seed, worlds()[seed % 4])
    return without_objects(found) if seed // 4 % EMPTY_EVERY == 0 else found


class ProbeTask:
    """Trains the probes. Each pool of rendered frames is used for several steps with different degradations, and
    depends only on the step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = ProbeNet().to(memory_format=torch.channels_last)
        self.modules = {"network": self.network}
        self.names_for_adam = ("stem.1", "_head")
        self.pool: tuple[int, LabelledFrames, Tensor] | None = None

    def batch(self, step: int) -> LabelledFrames:
        number, part = divmod(step, STEPS_A_POOL)
        if self.pool is None or self.pool[0] != number:
            made = labelled_frames([scene(number * SCENES + row) for row in range(SCENES)], FRAMES_EACH)
            generator = torch.Generator().manual_seed(number)
            order = torch.cat([torch.randperm(SCENES * FRAMES_EACH, generator=generator) for _ in range(REUSE)])
            self.pool = number, made, order
        return self.pool[1].take(self.pool[2][part * BATCH : (part + 1) * BATCH])

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        self.network.train()
        batch = flipped(self.batch(step), torch.rand(BATCH, generator=generator) < 0.5)
        pictures = degrade(batch.frames_BHWC.permute(0, 3, 1, 2).float() / 255.0, generator)
        return loss(self.network(pictures.contiguous(memory_format=torch.channels_last)), batch)

    def evaluate(self, step: int) -> dict[str, Any]:
        self.network.eval()
        held_out = labelled_frames([sample_scene(20_900_000 + n, worlds()[n % 4]) for n in range(64)])
        answers = self.network(held_out.frames_BHWC.permute(0, 3, 1, 2).float() / 255.0)
        _, found = loss(answers, held_out)
        right = {
            name: round(100 * float((answers.picture[name].argmax(1) == truth).float().mean()), 2)
            for name, truth in held_out.picture.items()
        }
        self.network.train()
        return {"right_percent": right, **{name: round(value, 4) for name, value in found.items()}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=14.0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(evaluation.__file__).parent, help="where to export")
    parser.add_argument("--device-name", default="unknown", help="for probes.json")
    parser.add_argument("--count", type=int, default=128, help="held-out scenes of each world to measure on")
    parser.add_argument("--stage", choices=("train", "export", "all"), default="all")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    task = ProbeTask()
    if options.stage in ("train", "all"):
        config = LoopConfig(
            out=options.out, minutes=options.minutes, lr_muon=2.0e-3, lr_adam=2.0e-3, decay_from=0.4, final_lr=0.01,
            ema=0.995, evaluate_minutes=4, checkpoint_minutes=2, resume=options.resume,
        )  # fmt: skip
        train(task, config, lambda event: print(json.dumps(event), flush=True))
    if options.stage in ("export", "all"):
        export(task.network, options.out, options.folder, options.count, options.device_name)
    return 0


def export(network: ProbeNet, out: Path, folder: Path, count: int, device_name: str) -> None:
    """Write the averaged weights of the last checkpoint, and probes.json with scores measured in float16."""
    step = load_averaged(out / "checkpoint.pt", {"network": network})
    events = [json.loads(line) for line in (out / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    info: dict[str, Any] = {
        "config": {"narrow": 48, "wide": 96, "num_blocks": 2},
        "parameters": sum(each.numel() for each in network.parameters()),
        "recipe": "recipes/probes.py",
        "training": {
            "steps": step, "pictures": step * BATCH, "seconds": events[-1]["seconds"],
            "device": device_name,
        },
        "held_out_from_seed": HELD_OUT_PROBES,
        "accuracy": {},
    }  # fmt: skip
    shape = ClipShape(17, 64, 64, 8.0)
    probes = Probes(network.half().float(), info)
    for name, world in named_worlds().items():
        for kind, change in (("clean", None), ("degraded", degraded)):
            found = check(probes, world, shape, count, change)
            info["accuracy"][f"{name}, {kind}"] = found
            print(name, kind, {key: value["value"] for key, value in found.items()}, flush=True)
    save_probes(network, folder, info)
    print(f"{(folder / 'probes.safetensors').stat().st_size} bytes in {folder}")


def named_worlds() -> dict[str, World]:
    """The worlds for measuring the probes."""
    small = replace(small_world(), two_actors=0.1, moving_camera=0.1)
    return {
        "small world": small,
        "small world, plain": replace(small, detail="plain"),
        "whole Toyland": WORLD,
        "whole Toyland, plain": replace(WORLD, detail="plain"),
    }


if __name__ == "__main__":
    raise SystemExit(main())
