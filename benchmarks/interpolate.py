"""Quality of frame interpolation: every second frame of a clip is removed and interpolated.

    python benchmarks/interpolate.py [--clips ../shared/data/road.mp4 ...] [--model FILE] [--out DIR] [--threads 2]
    python benchmarks/interpolate.py --excerpts --count 4        # parts of the clips, a few minutes

PSNR and SSIM of the new frames, by the network (film), ffmpeg's motion-compensated filter (mci) and a mix of both
neighbours (blend): on held-out Toyland at several frame rates, on held-out moving textures and on real clips. Then
seconds for 48 new frames at 576x320 (24 frames at 8 fps to 72 at 24 fps). Writes DIR/NAME.png: true, blend, mci, film.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from kinema.core.chunk import Chunk
from kinema.evaluation.cases import HELD_OUT
from kinema.media.read import read_video
from kinema.post.interpolate import interpolate
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD, sample_scene
from kinema.training.core.sheets import sheet
from kinema.training.data.moving_pictures import MovingPictures
from kinema.training.data.textures import make_bank

WAYS = ("film", "mci", "blend")
EXCERPTS = {"road": slice(20, 45), "realshort": slice(0, 13), "cat": slice(0, 9)}
BUSY = replace(WORLD, two_actors=0.6, moving_camera=0.6, some_spin=0.3, some_change=0.25, duration=1.5)


def psnr(made: np.ndarray, true: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-3, np.square(made.astype(np.float64) - true).mean())))


def ssim(made: np.ndarray, true: np.ndarray) -> float:
    """SSIM of luma, with Gaussian windows of 11 px and sigma 1.5 (Wang et al. 2004)."""
    a, b = (cv2.cvtColor(x, cv2.COLOR_RGB2GRAY).astype(np.float64) for x in (made, true))
    blur = lambda x: cv2.GaussianBlur(x, (11, 11), 1.5)[5:-5, 5:-5]  # noqa: E731
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, both = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(found.mean())


def halved(frames_FHWC: np.ndarray, by: str, model: str | None) -> np.ndarray:
    """Interpolate the clip's odd frames from its even ones."""
    even = frames_FHWC[0 : len(frames_FHWC) // 2 * 2 + 1 : 2]
    made = interpolate([Chunk(even, 0, 8.0)], times=2, by=by, model=model if by == "film" else None)
    return np.concatenate([chunk.frames for chunk in made])[1 : 2 * len(even) - 2 : 2]


def textures(count: int) -> Iterator[np.ndarray]:
    """Yield clips of three frames from a held-out bank of moving textures."""
    moving = MovingPictures(make_bank(HELD_OUT + 1, 56, 56), 192)
    generator, found = torch.Generator().manual_seed(7), 0
    while found < count:
        drawn = moving.draw(1, generator)
        if float(drawn.time_B) == 0.5:
            found += 1
            yield (drawn.frames_BTCHW[0].permute(0, 2, 3, 1) * 255).round().byte().numpy()


def toyland(count: int, rate: float) -> Iterator[np.ndarray]:
    """Yield held-out clips of 9 frames at `rate` fps."""
    for first in range(0, count, 8):
        scenes = [sample_scene(HELD_OUT + 500 + k, BUSY) for k in range(first, min(count, first + 8))]
        yield from render(scenes, num_frames=9, height=160, width=288, fps=rate).frames_BFHWC.numpy()


def measure(clips: list[np.ndarray], args: argparse.Namespace, name: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    made: dict[str, list[np.ndarray]] = {}
    for by in WAYS:
        made[by] = [halved(clip, by, args.model) for clip in clips]
        pairs = [
            (a, b) for out, clip in zip(made[by], clips, strict=True) for a, b in zip(out, clip[1::2], strict=False)
        ]
        found[by] = {
            "psnr": float(np.mean([psnr(*p) for p in pairs])),
            "ssim": float(np.mean([ssim(*p) for p in pairs])),
        }
    rows = []
    for k in np.linspace(0, len(clips) - 1, min(8, len(clips))).astype(int):
        for at in np.linspace(0, len(made["film"][k]) - 1, 1 if len(clips) > 1 else 5).astype(int):
            pictures = [clips[k][1 + 2 * at], *(made[by][k][at] for by in ("blend", "mci", "film"))]
            scores = ", ".join(f"{by} {psnr(made[by][k][at], pictures[0]):.1f} dB" for by in ("blend", "mci", "film"))
            wide = 360 / pictures[0].shape[1]
            rows.append((f"true; {scores}", [cv2.resize(p, None, fx=wide, fy=wide) for p in pictures]))
    sheet(rows, args.out / f"{name}.png")
    film, mci, blend = (found[by] for by in WAYS)
    print(
        f"{name:14s}" + "".join(f"  {by} {found[by]['psnr']:6.2f} dB {found[by]['ssim']:.4f}" for by in WAYS)
        + f"  film-mci {film['psnr'] - mci['psnr']:+.2f} dB {film['ssim'] - mci['ssim']:+.4f}"
        + f"  film-blend {film['psnr'] - blend['psnr']:+.2f} dB {film['ssim'] - blend['ssim']:+.4f}", flush=True,
    )  # fmt: skip
    return found


def seconds(by: str, model: str | None) -> float:
    """Seconds for 48 new frames: 25 frames of 576x320 from 8 to 24 fps."""
    scene = sample_scene(HELD_OUT + 3, BUSY)
    frames = render([scene], num_frames=25, height=320, width=576, fps=8).frames_BFHWC[0].numpy()
    frames = frames.astype(np.int16) + np.random.default_rng(0).integers(-3, 4, frames.shape)
    frames = frames.clip(0, 255).astype(np.uint8)
    started = time.perf_counter()
    made = sum(
        len(c.frames) for c in interpolate([Chunk(frames, 0, 8.0)], 24, by=by, model=model if by == "film" else None)
    )
    assert made == 75
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument(
        "--clips", nargs="*", type=Path, default=[data / f"{n}.mp4" for n in ("cat", "road", "realshort")]
    )
    parser.add_argument("--model", default=None)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/interpolate"))
    parser.add_argument("--excerpts", action="store_true")
    parser.add_argument("--no-time", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = {}
    for rate in (24.0, 12.0):
        found[f"toyland {rate:g}"] = measure(list(toyland(args.count, rate)), args, f"toyland {rate:g}")
    found["textures"] = measure(list(textures(args.count)), args, "textures")
    for clip in args.clips:
        part = EXCERPTS.get(clip.stem, slice(None)) if args.excerpts else slice(None)
        found[clip.stem] = measure([read_video(clip)[0][part]], args, clip.stem)
    if not args.no_time:
        took = {by: [seconds(by, args.model) for _ in range(2)] for by in WAYS}
        for by in WAYS:
            print(
                f"48 new frames at 576x320 by {by}: {min(took[by]):.1f} to {max(took[by]):.1f} s with {args.threads} "
                f"threads ({min(took[by]) / min(took['mci']):.2f} times mci)"
            )
        found["seconds"] = {by: {"best": min(took[by])} for by in WAYS}
    (args.out / "found.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
