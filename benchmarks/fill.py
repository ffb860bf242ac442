"""What hides behind an object, brought back from other frames: against the exact truth.

    python benchmarks/fill.py                      # every case of every clip found in ../shared/data
    python benchmarks/fill.py --only road          # cases whose name holds a word
    python benchmarks/fill.py --sheets out         # also a contact sheet of each case
    python benchmarks/fill.py --memory             # peak memory at 50 and at 500 frames

A disc (or Toyland's objects, drawn small) is laid over a real clip and removed with its exact mask; the clip below it
is the truth. "PSNR": dB of the mean square error over all masked pixels of the clip; "Telea": of cv2.inpaint on each
frame. "frames below": on how many frames the fill is worse than Telea by 0.1 dB. "flicker": change of the fill from
frame to frame along the motion of the scene (dense flow of the true clip), as a share of the true clip's own change
around the holes. "true": the flicker of the true clip itself inside the same masks, which a perfect fill has: above 1
where something moves inside and little around. "calm": flicker, at each pixel along the motion of the scene or of the
clip without the added actor, whichever changes less: a fill that does not show the actor does not move with it. (By the
first figure the background itself, perfectly still, flickers 7.8 times as much as the clip where an actor passes.)
Shares are of the masked pixels: propagated, patched, left to a model.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kinema.media.read import read_video
from kinema.media.sheet import sheet_of_clips
from kinema.propagation.fill import fill
from kinema.propagation.frame import FilledFrame, Origin
from kinema.propagation.patch import Patching
from kinema.toyland.render import render
from kinema.toyland.scene import Actor, Scene

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NUM_FRAMES = 25
CROSSINGS = {"cat": (0.15, 0.85, 0.25), "road": (0.15, 0.85, 0.25), "realshort": (0.2, 0.8, 0.4)}
"""Where a disc crosses each clip: from and to (of the width), at (of the height)."""
LEAST_CHANGE = 0.2
"""Of 255: added to both sides of a flicker ratio, so that what nobody sees counts for little."""
SIZES = {"": 0.11, " large": 0.22}
"""Radius of the disc, of the height."""


@dataclass(frozen=True)
class Case:
    name: str
    true: np.ndarray  # (F, H, W, 3) uint8
    given: np.ndarray  # the same with objects over it
    masks: np.ndarray  # (F, H, W) bool
    without: np.ndarray | None = None  # the true clip without the actor behind the holes, if one was added


def disc(clip: np.ndarray, middles_F2: np.ndarray, radius: float) -> np.ndarray:
    """Masks (F, H, W) of a disc; middles as shares of width and height, the radius as one of the height."""
    _, height, width, _ = clip.shape
    y_HW, x_HW = np.mgrid[:height, :width]
    return np.stack(
        [(x_HW - x * width) ** 2 + (y_HW - y * height) ** 2 <= (radius * height) ** 2 for x, y in middles_F2]
    )


def covered(clip: np.ndarray, masks: np.ndarray) -> np.ndarray:
    given = clip.copy()
    given[masks] = (200, 40, 40)
    return given


def toyland(num_frames: int, kind: str, side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """An object that goes from left to right: frames and masks, square."""
    actor = Actor(kind, "red", motion="right", x=0.5, y=0.5, reach=0.3, radius=0.15)
    scene = Scene((actor,), background="meadow", duration=num_frames / 12)
    drawn = render([scene], num_frames=num_frames, height=side_px, width=side_px, fps=12)
    return drawn.frames_BFHWC[0].numpy(), drawn.masks_BNFHW[0, 0].numpy()


def with_toy(clip: np.ndarray, kind: str, at: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A Toyland object over a clip, in the square around a place (share of the width, of the height)."""
    count, height, width, _ = clip.shape
    side = min(height, width)
    toy, masks = toyland(count, kind, side)
    left, top = round(at[0] * (width - side)), round(at[1] * (height - side))
    given, where = clip.copy(), np.zeros(clip.shape[:3], bool)
    where[:, top : top + side, left : left + side] = masks
    given[where] = toy[masks]
    return given, where


def cases(name: str, clip: np.ndarray) -> Iterator[Case]:
    start, stop, y = CROSSINGS[name]
    along = np.stack([np.linspace(start, stop, len(clip)), np.full(len(clip), y)], 1)
    for size, radius in SIZES.items():
        masks = disc(clip, along, radius)
        yield Case(f"{name} crossing{size}", clip, covered(clip, masks), masks)
    still = np.repeat([[0.5, y]], len(clip), 0)
    masks = disc(clip, still, 0.11)
    yield Case(f"{name} static disc", clip, covered(clip, masks), masks)
    given, masks = with_toy(clip, "car", (0.5, 0.3))
    masks = np.stack([cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0 for mask in masks])
    yield Case(f"{name} toy", clip, given, masks)
    _, height, width, _ = clip.shape
    ball = 0.5 if height <= width else max(0.0, (y * height - width / 2) / (height - width))
    below, _ = with_toy(clip, "ball", (0.5, ball))
    for kind, path in (("static", still), ("moving", along[::-1])):
        masks = disc(clip, path, 0.11)
        yield Case(f"{name} actor behind {kind} disc", below, covered(below, masks), masks, clip)


def psnr(square: float) -> float:
    return float(10 * np.log10(255**2 / max(square, 1e-6)))


def squares(case: Case, frames: np.ndarray) -> np.ndarray:
    """Mean square error inside the mask of each frame, (F,); nan where there is none."""
    off = (frames.astype(np.float32) - case.true) ** 2
    return np.array([each[mask].mean() if mask.any() else np.nan for each, mask in zip(off, case.masks)])


def telea(case: Case) -> np.ndarray:
    return np.stack(
        [cv2.inpaint(frame, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA) for frame, mask in zip(case.given, case.masks)]
    )


def flicker(case: Case, frames: np.ndarray) -> tuple[float, float]:
    """How much more a fill changes than the clip does around it: along the scene's motion, and along that or the motion
    of the clip without the added actor, whichever changes less."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    _, height, width, _ = frames.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    inside, outside = [], []

    def along(clip: np.ndarray, k: int, place: np.ndarray) -> np.ndarray:
        before = cv2.remap(clip[k - 1], place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.abs(before.astype(np.float32) - clip[k]).mean(-1)

    for k in range(1, len(frames)):
        motions = [case.true] if case.without is None else [case.true, case.without]
        gray = [[cv2.cvtColor(clip[each], cv2.COLOR_RGB2GRAY) for each in (k, k - 1)] for clip in motions]
        places = [grid + search.calc(*pair, None) for pair in gray]
        fills = [along(frames, k, place) for place in places]
        trues = [along(case.true, k, place) for place in places]
        was = cv2.remap(case.masks[k - 1].astype(np.uint8), places[0], None, cv2.INTER_NEAREST) > 0
        both = case.masks[k] & was
        around = (cv2.dilate(case.masks[k].astype(np.uint8), np.ones((41, 41))) > 0) & ~case.masks[k]
        inside.append([each[both].sum() / max(1, both.sum()) for each in (fills[0], np.min(fills, 0))])
        outside.append([each[around].mean() for each in (trues[0], np.min(trues, 0))])
    scene, calm = (np.mean(inside, 0) + LEAST_CHANGE) / (np.mean(outside, 0) + LEAST_CHANGE)
    return float(scene), float(calm)


def shares(case: Case, filled: list[FilledFrame]) -> str:
    sources = np.concatenate([each.origin_HW[mask] for each, mask in zip(filled, case.masks)])
    return "/".join(f"{(sources == kind).mean():4.0%}" for kind in (Origin.PROPAGATED, Origin.PATCHED, Origin.UNFILLED))


def measured(case: Case, sheets: Path | None, patch: Patching) -> None:
    begin, wall = time.process_time(), time.perf_counter()
    filled = list(fill(zip(case.given, case.masks), patch=patch))
    seconds, wall = time.process_time() - begin, time.perf_counter() - wall
    frames = np.stack([each.frame_HWC for each in filled])
    assert (frames[~case.masks] == case.given[~case.masks]).all()
    other = telea(case)
    ours, theirs = squares(case, frames), squares(case, other)
    worse = int(sum(psnr(one) < psnr(two) - 0.1 for one, two in zip(ours, theirs)))
    scene, calm = flicker(case, frames)
    perfect, _ = flicker(case, case.true)
    print(
        f"{case.name:36} {psnr(np.nanmean(ours)):6.1f} {psnr(np.nanmean(theirs)):6.1f} {worse:6} "
        f"{scene:8.2f} {perfect:6.2f} {calm:6.2f} {shares(case, filled)} {seconds:7.1f} {wall:6.1f}",
        flush=True,
    )
    if sheets is not None:
        sheets.mkdir(parents=True, exist_ok=True)
        rows = [("given", case.given), ("filled", frames), ("Telea", other), ("truth", case.true)]
        sheet_of_clips(rows, frames_per_row=5).save(sheets / f"{case.name.replace(' ', '_')}.png")


def peak_mib(num_frames: int) -> float:
    """Peak memory of a process that fills so many frames of 256x384 with a camera that pans."""
    code = f"""
import numpy as np, resource, cv2
from kinema.propagation.fill import fill
noise = np.random.default_rng(0).integers(0, 256, (256, 384 + 2 * {num_frames}, 3), np.uint8)
wide = cv2.GaussianBlur(noise, (0, 0), 3)
def frames():
    for k in range({num_frames}):
        mask = np.zeros((256, 384), bool)
        mask[80:160, (k * 9) % 300 : (k * 9) % 300 + 80] = True
        yield np.where(mask[..., None], 200, wide[:, 2 * k : 2 * k + 384]).astype(np.uint8), mask
for _ in fill(frames()): pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--patch", choices=("sharp", "close"), default="sharp")
    parser.add_argument("--memory", action="store_true")
    chosen = parser.parse_args()
    if chosen.memory:
        short, long = peak_mib(50), peak_mib(500)
        print(f"peak memory: 50 frames {short:.0f} MiB, 500 frames {long:.0f} MiB, ratio {long / short:.2f}")
        return
    print(
        f"{'case':36} {'PSNR':>6} {'Telea':>6} {'below':>6} {'flicker':>8} {'true':>6} {'calm':>6} {'shares':>14} "
        f"{'cpu s':>7} {'wall':>6}"
    )
    for name in CROSSINGS:
        if not (path := DATA / f"{name}.mp4").is_file():
            print(f"{name}: {path.name} is not there, skipped")
            continue
        clip = read_video(path)[0][:NUM_FRAMES]
        for case in cases(name, clip):
            if chosen.only in case.name:
                measured(case, chosen.sheets, chosen.patch)
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
