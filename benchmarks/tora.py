"""What Tora's parts cost: CPU time of a step with and without a path, and peak memory by the length of the clip.

    python benchmarks/tora.py                  # kinema-mini-tora, 64x64
    python benchmarks/tora.py --model FOLDER --steps 20 --frames 17 49 97 145 193

Both in this process alternately (medians of CPU time); memory in a new process per length, as the resident set above
that of the loaded model.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
MODEL = "kinema-mini-tora"


@dataclass(frozen=True)
class Parts:
    """A transformer, Tora's parts for it, and the latents' rows and columns at the size of the training."""

    transformer: Any
    guidance: Any
    rows: int
    columns: int

    @property
    def channels(self) -> int:
        return int(self.transformer.config.out_channels)


def parts(model: str) -> Parts:
    import kinema

    family: Any = kinema.load(model, device="cpu").family
    if family.parts.motion is None or family.parts.transformer.config.patch_size_t is not None:
        raise SystemExit(f"{model}: not a model of Tora on CogVideoX 1.0")
    width, height = family.card.size.trained[0]
    return Parts(
        family.parts.transformer, family.parts.motion.guidance, height // family.space, width // family.space
    )  # fmt: skip


def step(model: Parts, motion: Any, latents: int) -> float:
    """CPU seconds of one evaluation of both guidance branches."""
    import torch

    from kinema.families.cogvideox import positions
    from kinema.families.cogvideox.tora.guide import guided

    transformer, config = model.transformer, model.transformer.config
    table = positions.rotary(transformer, latents, model.rows, model.columns, torch.device("cpu"))
    x = torch.randn(2, latents, model.channels, model.rows, model.columns)
    text = torch.randn(2, config.max_text_seq_length, config.text_embed_dim)
    start = time.process_time()
    with torch.inference_mode(), guided(transformer, motion):
        transformer(x, text, torch.tensor([500, 500]), image_rotary_emb=table, return_dict=False)
    return time.process_time() - start


def motion_of(model: Parts, latents: int) -> Any:
    import torch

    from kinema.families.cogvideox.tora.guide import MotionFeatures

    guidance = model.guidance
    with torch.inference_mode():
        flow_BCTHW = torch.randn(1, model.channels, latents, model.rows, model.columns)
        return MotionFeatures(guidance.fuser, guidance(flow_BCTHW))


def peak_mb(name: str, frames: int) -> float:
    """Peak memory of two steps above the loaded model, in this process."""
    model = parts(name)
    step(model, None, 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    latents = (frames - 1) // 4 + 1
    motion = motion_of(model, latents)
    for _ in range(2):
        step(model, motion, latents)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="a model with Tora's parts")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--frames", type=int, nargs="+", default=[17, 49, 97, 145, 193])
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(peak_mb(args.model, args.peak))
        return
    model = parts(args.model)
    for frames in args.frames[:2]:
        latents = (frames - 1) // 4 + 1
        motion, plain, led = motion_of(model, latents), [], []
        for _ in range(args.steps + 2):
            plain.append(step(model, None, latents))
            led.append(step(model, motion, latents))
        without, with_path = (statistics.median(each[2:]) for each in (plain, led))
        print(f"{frames} frames: a step takes {without * 1e3:.1f} ms of CPU time, with a path {with_path * 1e3:.1f} ms "
              f"({with_path / without:.3f} times)")  # fmt: skip
    last: tuple[int, float] | None = None
    for frames in args.frames:
        run = subprocess.run(
            [sys.executable, __file__, "--model", args.model, "--peak", str(frames)],
            capture_output=True,
            text=True,
            check=True,
        )
        peak = float(run.stdout.split()[-1])
        more = f", {(peak - last[1]) / (frames - last[0]) * 1024:.0f} KB per added frame" if last else ""
        print(f"{frames} frames: {peak:.0f} MB above the loaded model{more}")
        last = frames, peak


if __name__ == "__main__":
    main()
