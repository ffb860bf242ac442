"""Accuracy of tracked masks on Toyland clips with exact masks, from a tight box and from a click.

    python benchmarks/masks.py                       # 40 clips with a still camera, 20 with a moving one
    python benchmarks/masks.py --still 8 --moving 4  # a quick look
    python benchmarks/masks.py --worst sheet.png     # also a sheet of the worst clips

IoU is the mean over all frames that show the object. "object": including the visible part of its outline (dark, or
bright for neon); "mask": Toyland's own mask, without the outline. Glow on the surroundings belongs to neither. "first":
the object on the first frame. Milliseconds per frame: CPU time of this process, without rendering.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from kinema.conditions.preview import tinted
from kinema.media.masks import box_around
from kinema.media.sheet import sheet_of_clips
from kinema.segmentation.track import Start, follow
from kinema.toyland.actors import OUTLINE
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD, Scene, sample_scene, without_objects

NUM_FRAMES, SIDE_PX, FPS, FIRST = 25, 256, 12.0, 31_000_000
VISIBLE = 12
"""An outline pixel is visible if it differs by more than this, of 255, from the scene without the object."""
STARTS = ("tight box", "loose box", "click")


def scenes(count: int, moving: bool) -> list[Scene]:
    """Return held-out scenes with one moving object and a still or moving camera."""
    found: list[Scene] = []
    seed = FIRST
    while len(found) < count:
        scene = sample_scene(seed, WORLD)
        if len(scene.actors) == 1 and scene.actors[0].motion != "stay" and (scene.camera != "still") == moving:
            found.append(scene)
        seed += 1
    return found


def draw(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render frames, Toyland's masks, and masks with the outline, (F, H, W) bool each."""
    both = [scene, without_objects(scene)]
    drawn = render(both, num_frames=NUM_FRAMES, height=SIDE_PX, width=SIDE_PX, fps=FPS)
    frames_FHWC, masks_FHW = drawn.frames_BFHWC.numpy(), drawn.masks_BNFHW[0, 0].numpy()
    seen_FHW = np.abs(frames_FHWC[0].astype(int) - frames_FHWC[1]).max(-1) > VISIBLE
    reach_px = OUTLINE * scene.actors[0].radius * SIDE_PX
    around = range(-int(reach_px) - 1, int(reach_px) + 2)
    disc = np.array([[x * x + y * y <= (reach_px + 0.3) ** 2 for x in around] for y in around], np.uint8)
    lined_FHW = np.stack([cv2.dilate(mask_HW.astype(np.uint8), disc) > 0 for mask_HW in masks_FHW])
    return frames_FHWC[0], masks_FHW, masks_FHW | (lined_FHW & seen_FHW)


def starts(mask_HW: np.ndarray, whole_HW: np.ndarray) -> dict[str, Start]:
    """Return a tight and a loose box around the visible object, and a click well inside it, near its centre (not in or
    next to the hole of a ring)."""
    height, width = mask_HW.shape
    left, top, right, bottom = box_around(whole_HW)
    found = {}
    for name, room in (("tight box", 0.0), ("loose box", 0.07)):
        x, y = room * (right - left), room * (bottom - top)
        box = ((left - x) / width, (top - y) / height, (right + x) / width, (bottom + y) / height)
        found[name] = Start(box=tuple(min(1.0, max(0.0, side)) for side in box))
    rows, columns = np.nonzero(mask_HW)
    inside_N = cv2.distanceTransform(mask_HW.astype(np.uint8), cv2.DIST_L2, 5)[rows, columns]
    aside_N = np.hypot(rows - rows.mean(), columns - columns.mean())
    best = int(np.argmax(inside_N - 0.5 * aside_N))
    found["click"] = Start(click=((columns[best] + 0.5) / width, (rows[best] + 0.5) / height))
    return found


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def scores(masks_FHW: np.ndarray, truth_FHW: np.ndarray) -> list[float]:
    """IoU of each frame that shows the object."""
    return [iou(one, other) for one, other in zip(masks_FHW, truth_FHW) if other.any()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--still", type=int, default=40)
    parser.add_argument("--moving", type=int, default=20)
    parser.add_argument("--worst", type=Path)
    args = parser.parse_args()
    rows = []
    print("| camera | start | clips | IoU object | worst | first | IoU mask | ms per frame |")
    print("|---|---|---|---|---|---|---|---|")
    for camera, count in (("still", args.still), ("moving", args.moving)):
        results: dict[str, list[tuple[float, ...]]] = {name: [] for name in STARTS}
        for number, scene in enumerate(scenes(count, camera == "moving")):
            frames_FHWC, masks_FHW, whole_FHW = draw(scene)
            for name, start in starts(masks_FHW[0], whole_FHW[0]).items():
                began = time.process_time()
                found_FHW = np.stack(list(follow(iter(frames_FHWC), start, by="opencv"))) > 0.5
                spent_ms = 1000 * (time.process_time() - began) / NUM_FRAMES
                to_whole, to_mask = scores(found_FHW, whole_FHW), scores(found_FHW, masks_FHW)
                one = (statistics.mean(to_whole), to_whole[0], statistics.mean(to_mask), spent_ms)
                results[name].append(one)
                actor = scene.actors[0]
                words = f"{actor.color} {actor.kind}, {scene.style}, {scene.background}, {scene.light}, {scene.camera}"
                caption = f"{one[0]:.2f}, first {one[1]:.2f}: {camera} {number} {name}: {words}"
                rows.append((one[0], caption, tinted(frames_FHWC[::4], found_FHW[::4].astype(np.float32))))
        for name, ones in results.items():
            whole, first, mask, spent_ms = (statistics.mean(column) for column in zip(*ones))
            numbers = " | ".join(f"{value:.3f}" for value in (whole, min(one[0] for one in ones), first, mask))
            print(f"| {camera} | {name} | {len(ones)} | {numbers} | {spent_ms:.0f} |", flush=True)
    if args.worst is not None:
        worst = sorted(rows, key=lambda row: row[0])[:12]
        sheet_of_clips([row[1:] for row in worst], 7, scale=0.6).save(args.worst)


if __name__ == "__main__":
    main()
