"""Throughput of `kinema curate`: split, motion, duplicates and look, in seconds of video per second, and memory.

python benchmarks/curate.py [--clips 1000] [--workers 2] [--size 256x160] [--seconds 4]

The heap is made once per size (files of one to three Toyland shots, played back and forth).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from kinema.core.chunk import Chunk
from kinema.curation.run import curate
from kinema.media.write import write
from kinema.toyland.render import render
from kinema.toyland.scene import sample_scene

FPS, SHOTS = 25.0, 8
STAGES = ("motion_vectors", "look", "duplicates")


def make_heap(folder: Path, count: int, width: int, height: int, seconds: float) -> None:
    """Files of two shots, written from a few rendered ones with different colours."""
    frames = 24
    shots = [
        render([sample_scene(700 + k)], num_frames=frames, height=height, width=width, fps=FPS).frames_BFHWC[0].numpy()
        for k in range(SHOTS)
    ]
    order = [*range(frames), *range(frames - 2, 0, -1)]
    need = round(seconds * FPS)
    for number in range(count // 2):
        parts = []
        for part in (0, 1):
            shot = np.roll(shots[(number * 3 + part * 5) % SHOTS], number // SHOTS, axis=-1 if number % 2 else 2)
            parts.append(shot[[order[(k + number) % len(order)] for k in range(need)]])
        write(iter([Chunk(np.concatenate(parts), 0, FPS)]), folder / f"{number:05d}.mp4")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--clips", type=int, default=1000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--size", default="256x160")
    options.add_argument("--seconds", type=float, default=4.0)
    args = options.parse_args()
    width, height = map(int, args.size.split("x"))
    with tempfile.TemporaryDirectory() as work:
        heap = Path(work) / "heap"
        heap.mkdir()
        make_heap(heap, args.clips, width, height, args.seconds)
        begun = time.monotonic()
        cpu = psutil.Process().cpu_times()
        found = curate(heap, Path(work) / "set", stages=STAGES, workers=args.workers)
        seconds, after = time.monotonic() - begun, psutil.Process().cpu_times()
        used = sum(getattr(after, name) - getattr(cpu, name) for name in ("user", "children_user", "children_system"))
        memory = psutil.Process().memory_info().rss / 2**20
    print("| clips | video | workers | seconds | times real time | CPU seconds | per CPU second | memory |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {found.clips} | {found.video_s:.0f} s of {args.size} | {args.workers} | {seconds:.1f} | "
        f"{found.video_s / seconds:.1f} | {used:.1f} | {found.video_s / used:.1f} | {memory:.0f} MiB |"
    )


if __name__ == "__main__":
    main()
