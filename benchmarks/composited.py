"""Objects laid over real footage, with the shadow, the camera and the light that a real one has: the truth is known.

    python benchmarks/composited.py clips out       # writes the three clips of docs/editing.md and removes the object
    python benchmarks/composited.py shadow          # --shadow and --grow against a soft shadow of known extent
    python benchmarks/composited.py logo            # one picture as the mask of the whole clip
    python benchmarks/composited.py shadow --only road

The footage is in ../shared/data: three real clips, and a drawn doll that walks through them. Everything is
deterministic. "PSNR": dB of the mean square error over the object and its true shadow; "covered": share of the true
shadow's pixels outside the object that the mask has; "false": pixels of the mask outside object and shadow, as a share
of the object's. A pixel is in the true shadow if the shadow changes it by more than 6 of 255.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fill import NUM_FRAMES, Case, flicker, psnr
from PIL import Image, ImageDraw, ImageFont

from kinema.conditions.mask_shape import reshape
from kinema.core.chunk import Chunk
from kinema.engine.shadow import with_shadows
from kinema.media.read import read_video
from kinema.media.sheet import sheet_of_clips
from kinema.media.write import write
from kinema.propagation.fill import fill
from kinema.propagation.mend import mended

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEN = 6
"""Of 255: a shadow that changes a pixel by less is not counted."""


@dataclass(frozen=True)
class Walk:
    """Where the doll walks: its height (of the frame's), its feet from and to (of the width), at (of the height)."""

    tall: float
    start: float
    stop: float
    ground: float
    dark: float = 0.45
    """How much light the shadow takes."""
    soft: float = 0.03
    """Blur of the shadow, of the doll's height."""


WALKS = {
    "cat": Walk(0.22, 0.15, 0.7, 0.96),
    "road": Walk(0.3, 0.15, 0.85, 0.93),
    "realshort": Walk(0.3, 0.2, 0.8, 0.95),
}


def doll() -> np.ndarray:
    """The doll as RGBA, uint8: white that is connected to the border is transparent."""
    rgb = cv2.cvtColor(cv2.imread(str(DATA / "doll.png")), cv2.COLOR_BGR2RGB)
    white = (rgb.min(-1) > 235).astype(np.uint8)
    _, part = cv2.connectedComponents(white)
    border = np.unique(np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]]))
    outside = np.isin(part, border[border > 0])
    alpha = cv2.morphologyEx((~outside).astype(np.uint8) * 255, cv2.MORPH_OPEN, np.ones((9, 9)))
    rows, columns = np.nonzero(alpha)
    cut = np.dstack([rgb, cv2.GaussianBlur(cv2.erode(alpha, np.ones((3, 3))), (0, 0), 1.0)])
    return cut[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def walking(clip: np.ndarray, walk: Walk, *, steps: float = 4.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The clip with the doll walking over it: frames, masks of the doll, masks of its shadow outside the doll."""
    figure = doll().astype(np.float32)
    count, height, width, _ = clip.shape
    scale = walk.tall * height / figure.shape[0]
    frames, objects, shadows = [], [], []
    for k, frame in enumerate(clip):
        t = k / max(1, count - 1)
        x, y = (walk.start + (walk.stop - walk.start) * t) * width, walk.ground * height
        swing, hop = np.sin(2 * np.pi * steps * t), abs(np.sin(2 * np.pi * steps * t)) * 0.03 * walk.tall * height
        middle, feet = figure.shape[1] / 2, figure.shape[0]
        lean = 0.06 * swing
        place = np.array(
            [[scale, -lean * scale, x - scale * middle + lean * scale * feet], [0, scale, y - hop - scale * feet]],
            np.float32,
        )
        drawn = cv2.warpAffine(figure, place, (width, height), flags=cv2.INTER_AREA)
        alpha = drawn[..., 3:] / 255
        # The same outline laid down on the ground: flattened, and aside, away from the light.
        flat, aside = -0.32 * scale, 0.75 * scale
        lying = np.array(
            [[scale, -aside, x - scale * middle + aside * feet], [0, flat * -1, y - flat * -1 * feet]], np.float32
        )
        cast = cv2.warpAffine(figure[..., 3], lying, (width, height), flags=cv2.INTER_AREA) / 255
        cast = cv2.GaussianBlur(cast, (0, 0), max(1.0, walk.soft * walk.tall * height))
        shaded = frame * (1 - walk.dark * cast[..., None])
        frames.append((shaded * (1 - alpha) + drawn[..., :3] * alpha).round().clip(0, 255).astype(np.uint8))
        objects.append(cv2.dilate((alpha[..., 0] > 0.02).astype(np.uint8), np.ones((3, 3))) > 0)
        shadows.append((np.abs(shaded - frame).max(-1) > SEEN) & ~objects[-1])
    return np.stack(frames), np.stack(objects), np.stack(shadows)


# -- shadows --------------------------------------------------------------------------------------------------------


def footage(name: str, longest: int) -> np.ndarray:
    """The first frames of a real clip, (F, H, W, 3), scaled down so that no side is longer than this."""
    clip = read_video(DATA / f"{name}.mp4")[0][:NUM_FRAMES]
    scale = min(1.0, longest / max(clip.shape[1:3]))
    size = [round(side * scale) for side in clip.shape[2:0:-1]]
    return np.stack([cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in clip])


def shadow_rows(only: str, out: Path | None, longest: int) -> None:
    print(f"{'clip':10} {'mask':22} {'covered':>8} {'false':>6} {'PSNR':>6} {'whole':>6} {'cpu s':>6}")
    for name, walk in WALKS.items():
        if only not in name:
            continue
        true = footage(name, longest)
        given, objects, shadows = walking(true, walk)
        rows = [("given", given)]
        for label, ratio, shadow in (
            ("--grow 0.1 (default)", 0.1, False),
            ("--grow 0.4", 0.4, False),
            ("--grow 0.1 --shadow", 0.1, True),
            ("object and true shadow", 0.0, None),
        ):
            begin = time.process_time()
            masks = reshape(objects.astype(np.float32), "original_expand", ratio) > 0 if ratio else objects | shadows
            found = list(mended(with_shadows(mended(zip(given, masks))) if shadow else zip(given, masks)))
            masks = np.stack([mask for _, mask in found])
            filled = np.stack([each.frame_HWC for each in fill(iter(found), patch="sharp")])
            seconds = time.process_time() - begin
            off = (filled.astype(np.float32) - true) ** 2
            spare = (masks & ~shadows & ~objects).sum() / objects.sum()
            print(
                f"{name:10} {label:22} {(masks & shadows).sum() / shadows.sum():8.1%} {spare:6.0%} "
                f"{psnr(off[objects | shadows].mean()):6.1f} "
                f"{psnr(off.mean()):6.1f} {seconds:6.1f}",
                flush=True,
            )
            rows.append((label, filled))
            if out is not None and shadow:
                rows.append(("mask", np.where(masks[..., None], 255, given // 3).astype(np.uint8)))
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            sheet_of_clips([*rows, ("truth", true)], frames_per_row=4).save(out / f"shadow_{name}.png")


# -- logos ----------------------------------------------------------------------------------------------------------


def logo(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A channel's logo, a ring with three letters in the upper right corner: (RGB (H, W, 3), alpha (H, W))."""
    picture = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    size = height // 7
    left, top = width - round(1.6 * size), round(0.5 * size)
    draw.ellipse((left, top, left + size, top + size), outline=(255, 255, 255, 230), width=max(2, size // 10))
    font = ImageFont.load_default(size * 0.38)
    draw.text((left + size / 2, top + size / 2), "KTV", font=font, fill=(255, 255, 255, 230), anchor="mm")
    drawn = np.asarray(picture).astype(np.float32)
    return drawn[..., :3], drawn[..., 3] / 255


def with_logo(true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clip under a logo, and the mask of one picture: (frames, mask (H, W))."""
    colour, alpha = logo(*true.shape[1:3])
    given = true * (1 - alpha[..., None]) + colour * alpha[..., None]
    return given.round().astype(np.uint8), cv2.dilate((alpha > 0).astype(np.uint8), np.ones((5, 5))) > 0


def logo_rows(only: str, out: Path | None, longest: int) -> None:
    print(f"{'clip':10} {'PSNR':>6} {'Telea':>6} {'flicker':>8} {'of Telea':>8} {'propagated':>10} {'cpu s':>6}")
    for name in WALKS:
        if only not in name:
            continue
        true = footage(name, longest)
        given, mask = with_logo(true)
        masks = np.repeat(mask[None], len(true), 0)
        begin = time.process_time()
        found = list(fill(zip(given, masks), patch="sharp"))
        seconds = time.process_time() - begin
        filled = np.stack([each.frame_HWC for each in found])
        telea = np.stack([cv2.inpaint(each, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA) for each in given])
        case = Case(name, true, given, masks)
        errors = [psnr(((each.astype(np.float32) - true)[masks] ** 2).mean()) for each in (filled, telea)]
        share = np.mean([(each.origin_HW[mask] == 1).mean() for each in found])
        changes = [flicker(case, each)[0] for each in (filled, telea)]
        print(
            f"{name:10} {errors[0]:6.1f} {errors[1]:6.1f} {changes[0]:8.2f} {changes[1]:8.2f} "
            f"{share:10.0%} {seconds:6.1f}",
            flush=True,
        )
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            rows = [("given", given), ("filled", filled), ("Telea", telea), ("truth", true)]
            sheet_of_clips(rows, frames_per_row=4).save(out / f"logo_{name}.png")


# -- three clips of our own making ----------------------------------------------------------------------------------


def handheld(picture: np.ndarray, count: int, size: tuple[int, int], travel: tuple[float, float]) -> np.ndarray:
    """A camera in a hand that pans over a photograph: frames (count, height, width, 3). travel: pixels, x and y."""
    width, height = size
    tall, wide, _ = picture.shape
    random = np.random.default_rng(7)
    shake = cv2.GaussianBlur(random.normal(size=(count, 4)).astype(np.float32), (1, 0), 0.01, sigmaY=2.0)
    shake /= shake.std(0)
    frames = []
    for k in range(count):
        t = k / (count - 1)
        x, y = (
            wide / 2 + travel[0] * (t - 0.5) + 2.0 * shake[k, 0],
            tall / 2 + travel[1] * (t - 0.5) + 1.6 * shake[k, 1],
        )
        turn = cv2.getRotationMatrix2D((x, y), 0.5 * float(shake[k, 2]), 1 + 0.006 * float(shake[k, 3]))
        turn[:, 2] += (width / 2 - x, height / 2 - y)
        frames.append(
            cv2.warpAffine(picture, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        )
    return np.stack(frames)


def dimmed(clip: np.ndarray) -> np.ndarray:
    """The clip under a cloud: darker and cooler from a third of it on, with a lamp's flicker of one percent."""
    count = len(clip)
    cloud = 1 / (1 + np.exp(-(np.arange(count) - count / 2) / (count / 10)))
    flicker_F = 1 + 0.01 * np.sin(np.arange(count) * 2.1)
    gain = flicker_F[:, None] * (1 - cloud[:, None] * np.array([[0.32, 0.28, 0.2]]))
    return (clip * gain[:, None, None]).round().clip(0, 255).astype(np.uint8)


def grainy(clip: np.ndarray) -> np.ndarray:
    """The clip with a sensor's noise of two levels, so that still parts are not still."""
    noise = np.random.default_rng(11).normal(0, 2.0, clip.shape)
    return (clip + noise).round().clip(0, 255).astype(np.uint8)


def made_clips() -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray | None, list[str]]]:
    """(name, truth, the clip with the object, one picture as its mask or None, options of `kinema remove`)."""
    count = 25
    road = read_video(DATA / "road.mp4")[0][0]
    small = cv2.resize(road, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    true = grainy(handheld(small, count, (384, 240), (70, 40)))
    given, objects, _ = walking(true, Walk(0.34, 0.18, 0.78, 0.93))
    yield "walk", true, given, objects[0], ["--follow", "--shadow"]
    cat = read_video(DATA / "cat.mp4")[0][0]
    room = cv2.resize(cat[368:], (384, 300), interpolation=cv2.INTER_AREA)
    still = grainy(dimmed(np.repeat(room[None], count, 0)))
    given, objects, _ = walking(still, Walk(0.34, 0.18, 0.82, 0.94, soft=0.05))
    yield "cloud", still, given, objects[0], ["--follow", "--shadow"]
    small = cv2.resize(cat, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    moving = grainy(handheld(small, count, (240, 320), (40, 100)))
    given, mask = with_logo(moving)
    yield "logo", moving, given, mask, []


def clips(out: Path, only: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, true, given, mask, options in made_clips():
        if only not in name:
            continue
        write([Chunk(given, 0, 12.0)], out / f"{name}.mp4", quality="best")
        Image.fromarray(mask.astype(np.uint8) * 255).save(out / f"{name}_mask.png")
        target = out / f"{name}_removed.mp4"
        typed = [
            "remove",
            str(out / f"{name}.mp4"),
            "--mask",
            str(out / f"{name}_mask.png"),
            *options,
            "-o",
            str(target),
        ]
        print("kinema", *typed)
        subprocess.run([sys.executable, "-m", "kinema", *typed], check=True)
        made = read_video(target)[0]
        changed = (np.abs(given.astype(int) - true).max(-1) > SEEN)[: len(made)]
        off = (made.astype(np.float32) - true) ** 2
        print(f"{name}: PSNR where the clip had been changed {psnr(off[changed].mean()):.1f} dB", flush=True)
        rows = [("given", given), ("removed", made), ("truth", true)]
        sheet_of_clips(rows, frames_per_row=4).save(out / f"{name}_sheet.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("clips", "shadow", "logo"))
    parser.add_argument("out", type=Path, nargs="?", help="folder for clips and contact sheets")
    parser.add_argument("--only", default="", help="clips whose name holds a word")
    parser.add_argument("--longest", type=int, default=360, help="longer side of the footage, in pixels")
    chosen = parser.parse_args()
    if chosen.what == "clips":
        clips(chosen.out or Path("composited"), chosen.only)
    else:
        (shadow_rows if chosen.what == "shadow" else logo_rows)(chosen.only, chosen.out, chosen.longest)


if __name__ == "__main__":
    main()
