"""What curation's stages measure, against the truth: motion on Toyland clips of known flow, the area of rendered
titles, copies of clips. Prints the tables of docs/curation.md.

    python benchmarks/curation_stages.py [motion] [text] [copies] [--clips 60]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "curation"))
from made_clips import encoded, toyland_clips

from kinema.curation import reading
from kinema.curation.stage import CurationSettings
from kinema.curation.stages import text_area
from kinema.curation.stages.duplicates import Duplicates
from kinema.curation.table_of_stages import make_stages

MOTION = ("motion_vectors", "motion", "motion_svd", "motion_easyanimate", "camera")
COLUMNS = {"motion_vectors": "vector_motion", "camera": "flow_score"}
WORDS = ("Hello World", "EPISODE ONE", "one summer noon", "gypsy quay jump")


def motion(folder: Path, count: int) -> None:
    """Spearman's rank correlation of each measure with the true flow."""
    made = toyland_clips(count, 160, 49, fps=24)
    true = [speed for _, speed in made]
    clips = [encoded(folder / f"{number:03}.mp4", frames, 24) for number, (frames, _) in enumerate(made)]
    print(f"{count} Toyland clips 160x160, 49 frames at 24 fps, mean flow {min(true):.4f} to {max(true):.4f} sides/s")
    for stage in make_stages(MOTION, CurationSettings()):
        stage.open()
        begun, found = time.perf_counter(), []
        for clip in clips:
            reading.forget()
            found.append(stage.measure(clip)[COLUMNS.get(stage.name, stage.name)])
        each_ms = (time.perf_counter() - begun) / count * 1000
        print(f"| {stage.name} | {spearmanr(true, found).statistic:.3f} | {each_ms:.0f} ms |", flush=True)


def fonts() -> list[str]:
    """Files of fonts on this machine, a few of different kinds; "" is Pillow's own."""
    folders = [Path("/usr/share/fonts"), Path("/Library/Fonts"), Path("C:/Windows/Fonts")]
    found = sorted(file for folder in folders if folder.is_dir() for file in folder.rglob("*.ttf"))
    return ["", *(str(file) for file in found[:: max(1, len(found) // 4)][:5])]


def draw_title(
    picture: Image.Image, area: Image.Image, words: str, font: str, size: int, at: tuple[int, int], turn: float
) -> None:
    """Draw words, and the box of their ink into `area`."""
    face = ImageFont.truetype(font, size) if font else ImageFont.load_default(size)
    left, top, right, bottom = face.getbbox(words)
    ink = Image.new("L", (round(right - left) + 8, round(bottom - top) + 8), 0)
    ImageDraw.Draw(ink).text((4 - left, 4 - top), words, font=face, fill=255)
    box = Image.new("L", ink.size, 0)
    seen = np.asarray(ink) > 96
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    ImageDraw.Draw(box).rectangle([columns[0], rows[0], columns[-1], rows[-1]], fill=255)
    turned = [one.rotate(turn, expand=True, resample=Image.Resampling.BICUBIC) for one in (ink, box)]
    picture.paste((255, 255, 255), at, turned[0])
    area.paste(255, at, turned[1])


def backgrounds(real: Path | None) -> Iterator[tuple[str, np.ndarray]]:
    y_HW, x_HW = np.mgrid[0:384, 0:640]
    yield "one colour", np.full((384, 640, 3), (40, 80, 120), np.uint8)
    yield "gradient", np.stack([x_HW / 640 * 200, y_HW / 384 * 180, np.full(x_HW.shape, 90)], -1).astype(np.uint8)
    if real is not None and real.is_file():
        with av.open(str(real)) as container:
            frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
        yield "real footage", cv2.resize(frame, (640, 384), interpolation=cv2.INTER_AREA)
    for number in (1, 4):
        toy = toyland_clips(number + 1, 384, 2)[-1][0][0]
        yield f"Toyland {number}", np.asarray(Image.fromarray(toy).resize((640, 384)))


def text(real: Path | None) -> None:
    """The error of the measured area of titles, by background."""
    detector = text_area.load_detector()
    faces = fonts()
    cases = [
        ((words, face, size, turn),)
        for face, words, (size, turn) in product(faces, WORDS, [(24, 0), (48, 0), (36, 12)])
    ]
    pairs = [(("A Long Way Home", face, 40, 0), ("a film by nobody", face, 24, 0)) for face in faces]
    print("| background | titles | one line | turned by 12 degrees | two lines | largest error | no title |")
    begun, num = time.perf_counter(), 0
    for name, plain_HWC in backgrounds(real):
        errors: dict[str, list[float]] = {"one": [], "turned": [], "two": []}
        for lines in [*cases, *pairs]:
            picture, area = Image.fromarray(plain_HWC), Image.new("L", (640, 384), 0)
            for row, (words, face, size, turn) in enumerate(lines):
                draw_title(picture, area, words, face, size, (60, 110 + 70 * row), turn)
            truth = float((np.asarray(area) > 127).mean())
            boxes = text_area.text_boxes(detector, np.asarray(picture))
            kind = "two" if len(lines) > 1 else "turned" if lines[0][3] else "one"
            errors[kind].append(text_area.covered(boxes, 384, 640) / truth - 1)
            num += 1
        everything = np.abs([error for kind in errors.values() for error in kind])
        none = text_area.covered(text_area.text_boxes(detector, plain_HWC), 384, 640)
        means = " | ".join(f"{100 * np.abs(errors[kind]).mean():.1f} %" for kind in errors)
        print(f"| {name} | {len(everything)} | {means} | {100 * everything.max():.0f} % | {none:.3f} |", flush=True)
    print(f"{(time.perf_counter() - begun) / num * 1000:.0f} ms a frame")


def cropped(frames_FHWC: np.ndarray, share: float) -> np.ndarray:
    height, width = frames_FHWC.shape[1:3]
    down, across = int(height * share / 2), int(width * share / 2)
    return frames_FHWC[:, down : down + (height - 2 * down) // 2 * 2, across : across + (width - 2 * across) // 2 * 2]


def scaled(frames_FHWC: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in frames_FHWC])


CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "compressed (crf 36)": (lambda frames: frames, "36"),
    "scaled to 144x144": (lambda frames: scaled(frames, 144, 144), "23"),
    "squeezed to 192x144": (lambda frames: scaled(frames, 192, 144), "23"),
    "trimmed by 5 and 3 frames": (lambda frames: frames[5:-3], "23"),
    "cropped by 4 %": (lambda frames: cropped(frames, 0.04), "23"),
    "cropped by 8 %": (lambda frames: cropped(frames, 0.08), "23"),
    "brighter": (lambda frames: np.clip(frames * 1.15 + 6, 0, 255).astype(np.uint8), "23"),
}


def copies(folder: Path, count: int) -> None:
    """Recall by kind of copy, and precision, in a heap of originals and one copy of each kind per tenth original."""
    made = [frames for frames, _ in toyland_clips(count, 192, 25)]
    stage = Duplicates(CurationSettings())
    rows, truth, kinds = [], {}, {}
    for number, frames in enumerate(made):
        name = f"a{number:04}.mp4"
        clip = encoded(folder / name, frames)
        rows.append({"id": clip.id, **stage.measure(clip)})
        for kind, (change, crf) in CHANGES.items() if number % 3 == 0 else ():
            copy = encoded(folder / f"b{number:04}-{len(truth)}.mp4", change(frames), crf=crf)
            rows.append({"id": copy.id, **stage.measure(copy)})
            truth[copy.id], kinds[copy.id] = clip.id, kind
    begun = time.perf_counter()
    found = {name: value["duplicate_of"] for name, value in stage.across(rows)}
    took_s = time.perf_counter() - begun
    right = sum(truth.get(name) == original for name, original in found.items())
    print(
        f"{count} clips and {len(truth)} copies: precision {right / max(1, len(found)):.3f}, compared in {took_s:.1f} s"
    )
    for kind in CHANGES:
        of_kind = [name for name in truth if kinds[name] == kind]
        print(f"| {kind} | {sum(found.get(name) == truth[name] for name in of_kind) / len(of_kind):.3f} |")
    for name, original in found.items():
        if truth.get(name) != original:
            print(f"wrong: {name} -> {original}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["motion", "text", "copies"])
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--real", type=Path, default=None, help="a video with real footage, for titles over it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for part in given.parts:
            place = Path(folder) / part
            place.mkdir()
            if part == "motion":
                motion(place, given.clips)
            elif part == "text":
                text(given.real)
            else:
                copies(place, given.clips)


if __name__ == "__main__":
    main()
