"""What Tora's parts cost: CPU time of a step with and without a path, and peak memory by the length of the clip.

    python benchmarks/tora.py                  # random weights of the size of a miniature, 64x64
    python benchmarks/tora.py --steps 20 --frames 17 49 97 145 193

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
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
SIDE, LATENTS = 64, 16


def parts() -> tuple[Any, Any]:
    """A transformer of 2 million parameters and Tora's parts for it, with random weights."""
    import torch
    from diffusers import CogVideoXTransformer3DModel

    from kinema.families.cogvideox.tora.networks import MotionGuidance

    torch.manual_seed(0)
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=5, attention_head_dim=32, num_layers=5, time_embed_dim=48, text_embed_dim=96,
        sample_height=SIDE // 8, sample_width=SIDE // 8, sample_frames=17, max_text_seq_length=32,
        use_rotary_positional_embeddings=True,
    )  # fmt: skip
    return transformer.eval(), MotionGuidance.of(transformer.config, 32).eval()


def step(transformer: Any, motion: Any, latents: int) -> float:
    """CPU seconds of one evaluation of both guidance branches."""
    import torch

    from kinema.families.cogvideox import positions
    from kinema.families.cogvideox.tora.guide import guided

    cells = SIDE // 8
    table = positions.rotary(transformer, latents, cells, cells, torch.device("cpu"))
    x, text = torch.randn(2, latents, LATENTS, cells, cells), torch.randn(2, 32, 96)
    start = time.process_time()
    with torch.inference_mode(), guided(transformer, motion):
        transformer(x, text, torch.tensor([500, 500]), image_rotary_emb=table, return_dict=False)
    return time.process_time() - start


def motion_of(guidance: Any, latents: int) -> Any:
    import torch

    from kinema.families.cogvideox.tora.guide import MotionFeatures

    with torch.inference_mode():
        return MotionFeatures(guidance.fuser, guidance(torch.randn(1, LATENTS, latents, SIDE // 8, SIDE // 8)))


def peak_mb(frames: int) -> float:
    """Peak memory of two steps above the loaded model, in this process."""
    transformer, guidance = parts()
    step(transformer, None, 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    latents = (frames - 1) // 4 + 1
    motion = motion_of(guidance, latents)
    for _ in range(2):
        step(transformer, motion, latents)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--frames", type=int, nargs="+", default=[17, 49, 97, 145, 193])
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(peak_mb(args.peak))
        return
    transformer, guidance = parts()
    for frames in args.frames[:2]:
        latents = (frames - 1) // 4 + 1
        motion, plain, led = motion_of(guidance, latents), [], []
        for _ in range(args.steps + 2):
            plain.append(step(transformer, None, latents))
            led.append(step(transformer, motion, latents))
        without, with_path = (statistics.median(each[2:]) for each in (plain, led))
        print(f"{frames} frames: a step takes {without * 1e3:.1f} ms of CPU time, with a path {with_path * 1e3:.1f} ms "
              f"({with_path / without:.3f} times)")  # fmt: skip
    last: tuple[int, float] | None = None
    for frames in args.frames:
        run = subprocess.run(
            [sys.executable, __file__, "--peak", str(frames)], capture_output=True, text=True, check=True
        )
        peak = float(run.stdout.split()[-1])
        more = f", {(peak - last[1]) / (frames - last[0]) * 1024:.0f} KB per added frame" if last else ""
        print(f"{frames} frames: {peak:.0f} MB above the loaded model{more}")
        last = frames, peak


if __name__ == "__main__":
    main()
