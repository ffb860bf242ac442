"""Masks through time against exact ones: Toyland's clips, followed from a tight box and from a click.

    python benchmarks/masks.py                       # 40 clips with a still camera, 20 with a moving one
    python benchmarks/masks.py --still 8 --moving 4  # a quick look
    python benchmarks/masks.py --worst sheet.png     # also a sheet of the clips that went worst

IoU is the mean over all frames on which the object is seen, on three grounds. "mask": Toyland's own mask, which leaves
out the dark outline or the glow around an object. "drawn": every pixel that differs from the same place without the
object, faint glow included. "core": the pixels between these two, of which one cannot say whether they are the object,
are not counted. Milliseconds a frame: processor time of this process, rendering not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from kinema.conditions.mask_shape import box_around
from kinema.conditions.preview import tinted
from kinema.conditions.track import Start, follow
from kinema.media.sheet import sheet_of_clips
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD, Scene, sample_scene, without_objects

NUM_FRAMES, SIDE_PX, FPS, FIRST = 25, 256, 12.0, 31_000_000
CHANGED = 24
STARTS = ("box of mask", "box as drawn", "click")


def scenes(count: int, moving: bool) -> list[Scene]:
    """Held-out scenes with one object that moves, and the camera that is wanted."""
    found: list[Scene] = []
    seed = FIRST
    while len(found) < count:
        scene = sample_scene(seed, WORLD)
        if len(scene.actors) == 1 and scene.actors[0].motion != "stay" and (scene.camera != "still") == moving:
            found.append(scene)
        seed += 1
    return found


def draw(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames, Toyland's masks, and the pixels that differ from the same place without the object: what is drawn."""
    both = [scene, without_objects(scene)]
    drawn = render(both, num_frames=NUM_FRAMES, height=SIDE_PX, width=SIDE_PX, fps=FPS)
    frames_FHWC, masks_FHW = drawn.frames_BFHWC.numpy(), drawn.masks_BNFHW[0, 0].numpy()
    change_FHW = np.abs(frames_FHWC[0].astype(int) - frames_FHWC[1]).max(-1)
    return frames_FHWC[0], masks_FHW, (change_FHW > CHANGED) | masks_FHW


def starts(mask_HW: np.ndarray, drawn_HW: np.ndarray) -> dict[str, Start]:
    """Tight boxes around the mask and around what is drawn, and a click on the object: near its middle and well
    inside it (of a ring, not in or beside the hole)."""
    height, width = mask_HW.shape
    found = {}
    for name, part_HW in (("box of mask", mask_HW), ("box as drawn", drawn_HW)):
        left, top, right, bottom = box_around(part_HW)
        found[name] = Start(box=(left / width, top / height, right / width, bottom / height))
    rows, columns = np.nonzero(mask_HW)
    inside_N = cv2.distanceTransform(mask_HW.astype(np.uint8), cv2.DIST_L2, 5)[rows, columns]
    aside_N = np.hypot(rows - rows.mean(), columns - columns.mean())
    best = int(np.argmax(inside_N - 0.5 * aside_N))
    found["click"] = Start(click=((columns[best] + 0.5) / width, (rows[best] + 0.5) / height))
    return found


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def scores(masks_FHW: np.ndarray, truth_FHW: np.ndarray) -> list[float]:
    """IoU on each frame on which there is something to see."""
    return [iou(one, other) for one, other in zip(masks_FHW, truth_FHW) if other.any()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--still", type=int, default=40)
    parser.add_argument("--moving", type=int, default=20)
    parser.add_argument("--worst", type=Path)
    wanted = parser.parse_args()
    rows = []
    print("| camera | start | clips | IoU mask | IoU drawn | IoU core | worst core | first frame core | ms a frame |")
    print("|---|---|---|---|---|---|---|---|---|")
    for camera, count in (("still", wanted.still), ("moving", wanted.moving)):
        results: dict[str, list[tuple[float, ...]]] = {name: [] for name in STARTS}
        for number, scene in enumerate(scenes(count, camera == "moving")):
            frames_FHWC, truth_FHW, drawn_FHW = draw(scene)
            for name, start in starts(truth_FHW[0], drawn_FHW[0]).items():
                began = time.process_time()
                masks_FHW = np.stack(list(follow(iter(frames_FHWC), start))) > 0.5
                spent_ms = 1000 * (time.process_time() - began) / NUM_FRAMES
                to_mask, to_drawn = scores(masks_FHW, truth_FHW), scores(masks_FHW, drawn_FHW)
                to_core = scores(masks_FHW & (truth_FHW | ~drawn_FHW), truth_FHW)
                found = (*(statistics.mean(each) for each in (to_mask, to_drawn, to_core)), to_core[0], spent_ms)
                results[name].append(found)
                actor = scene.actors[0]
                words = f"{actor.color} {actor.kind}, {scene.style}, {scene.background}, {scene.light}, {scene.camera}"
                caption = f"{found[2]:.2f}, first {found[3]:.2f}: {camera} {number} {name}: {words}"
                rows.append((found[2], caption, tinted(frames_FHWC[::4], masks_FHW[::4].astype(np.float32))))
        for name, found_ones in results.items():
            mask, drawn, core, first, spent_ms = (statistics.mean(column) for column in zip(*found_ones))
            worst = min(each[2] for each in found_ones)
            numbers = " | ".join(f"{value:.3f}" for value in (mask, drawn, core, worst, first))
            print(f"| {camera} | {name} | {len(found_ones)} | {numbers} | {spent_ms:.0f} |", flush=True)
    if wanted.worst is not None:
        worst = sorted(rows, key=lambda row: row[0])[:12]
        sheet_of_clips([row[1:] for row in worst], 7, scale=0.6).save(wanted.worst)


if __name__ == "__main__":
    main()
