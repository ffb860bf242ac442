"""Which figure sees what: a set of clips is changed in known ways, and its figures compared with the unchanged set's.

    python benchmarks/yardsticks.py                           # 96 Toyland clips, and pieces of the real ones
    python benchmarks/yardsticks.py --clips 16 --sets toyland # a quick look
    python benchmarks/yardsticks.py --features i3d --metrics fvd
    python benchmarks/yardsticks.py --growth --clips 320      # the distances of two equal sets by the number of clips
    python benchmarks/yardsticks.py --rate 64                 # CPU seconds a clip of `kinema evaluate`, from files

Two disjoint sets of one kind, the reference and the set, then the set's changed copies against the reference; figures
of pairs compare a changed clip with its original. A cell is the figure; `!` where its difference from the unchanged
set's is real in the worse direction (paired, p < 0.05), `+` in the better one.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError
from kinema.evaluation.yardsticks import compare, frechet, kernel_distance
from kinema.evaluation.yardsticks.clip_features import stacked
from kinema.evaluation.yardsticks.contract import ClipFile, Row, SetClip, Yardstick, YardstickSettings
from kinema.evaluation.yardsticks.run import evaluate
from kinema.evaluation.yardsticks.table import YARDSTICKS
from kinema.media.read import read_video
from kinema.media.write import write
from kinema.toyland.caption import describe
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD, sample_scene

NUM_FRAMES, SIDE_PX, FPS, FIRST = 16, 128, 8.0, 47_000_000
OWN = ("trajectory_error", "vbench", "camera_motion")
"""Not in the tables: of clips with a path, a mean of the others, without a better direction."""
SIGNIFICANT = 0.05
"""Of one comparison: of 20 cells without an effect, one is marked."""


def blurred(frames_FHWC: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in frames_FHWC])


def noisy(frames_FHWC: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return np.clip(frames_FHWC + generator.normal(0, 10, frames_FHWC.shape), 0, 255).astype(np.uint8)


def shifted(frames_FHWC: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return np.clip(frames_FHWC.astype(int) + (30, 0, -30), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "unchanged": lambda frames, _: frames,
    "blurred, 2 px": blurred,
    "noise, 10 of 255": noisy,
    "colour, red +30 blue -30": shifted,
    "shuffled frames": lambda frames, generator: frames[generator.permutation(len(frames))],
    "reversed": lambda frames, _: frames[::-1],
    "frozen, middle frame": lambda frames, _: np.repeat(frames[len(frames) // 2][None], len(frames), 0),
    "half speed": lambda frames, _: frames[np.arange(len(frames)) // 2],
}


def toyland(num: int, first: int) -> list[tuple[np.ndarray, str]]:
    found = []
    for start in range(0, num, 16):
        scenes = [sample_scene(first + number, WORLD) for number in range(start, min(start + 16, num))]
        drawn = render(scenes, num_frames=NUM_FRAMES, height=SIDE_PX, width=SIDE_PX, fps=FPS)
        found += [(frames, describe(scene)) for frames, scene in zip(drawn.frames_BFHWC.numpy(), scenes)]
    return found


def real(num: int, first: int, data: Path) -> list[tuple[np.ndarray, str]]:
    """Pieces of the real clips: 16 frames of a square of random side and place, resized to 128."""
    sources = []
    for path in sorted(data.glob("*.mp4")):
        frames = read_video(path)[0]
        sources += [frames] if len(frames) >= NUM_FRAMES else []
    generator, found = np.random.default_rng(first), []
    for number in range(num):
        frames = sources[number % len(sources)]
        start = int(generator.integers(0, len(frames) - NUM_FRAMES + 1))
        side = int(generator.integers(160, min(frames.shape[1:3]) + 1)) if min(frames.shape[1:3]) > 160 else 128
        top, left = (int(generator.integers(0, length - side + 1)) for length in frames.shape[1:3])
        piece = frames[start : start + NUM_FRAMES, top : top + side, left : left + side]
        found.append((
            np.stack([cv2.resize(f, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for f in piece]), "a video"
        ))  # fmt: skip
    return found


def clips(pictures: list[tuple[np.ndarray, str]], change: str = "unchanged") -> list[SetClip]:
    """The clips of a set, changed, with their originals as partners."""
    found = []
    for number, (frames, words) in enumerate(pictures):
        file = ClipFile(f"{number:05}", Path(f"{number:05}.mp4"), words)
        altered = CHANGES[change](frames, np.random.default_rng(number))
        found.append(SetClip(file, np.ascontiguousarray(altered), FPS, SetClip(file, frames, FPS)))
    return found


def usable(names: list[str], settings: YardstickSettings) -> list[Yardstick]:
    """The yardsticks that have their weights."""
    found = []
    for name in names:
        yardstick = YARDSTICKS[name](settings)
        try:
            yardstick.protocol()
        except KinemaError as error:
            print(f"{name}: left out: {str(error)[:100]}")
            continue
        found.append(yardstick)
    return found


def table(kind: str, sets: list[list[tuple[np.ndarray, str]]], yardsticks: list[Yardstick]) -> None:
    reference, given = sets
    print(f"\n{kind}: {len(given)} clips of {NUM_FRAMES}x{SIDE_PX}x{SIDE_PX}\n")
    print("| set | " + " | ".join(f"{each.name} ({each.better})" for each in yardsticks) + " |")
    print("|---|" + "---|" * len(yardsticks), flush=True)
    against = {each.name: rows(each, clips(reference)) for each in yardsticks if each.against == "set"}
    plain: dict[str, list[Row]] = {}
    for change in CHANGES:
        altered, cells = clips(given, change), []
        for each in yardsticks:
            found = rows(each, altered)
            plain.setdefault(each.name, found)
            cells.append(cell(each, found, plain[each.name], against.get(each.name, []), change))
        print(f"| {change} | " + " | ".join(cells) + " |", flush=True)
    itself = []
    for each in yardsticks:
        score = each.score(plain[each.name], plain[each.name]) if each.against == "set" else None
        biased = f" (biased {number(score.facts['biased'])})" if score is not None and "biased" in score.facts else ""
        itself.append("" if score is None else number(score.value) + biased)
    print("| the set against itself | " + " | ".join(itself) + " |", flush=True)


def rows(yardstick: Yardstick, given: list[SetClip]) -> list[Row]:
    return [yardstick.measure(clip) for clip in given]


def cell(yardstick: Yardstick, found: list[Row], plain: list[Row], against: list[Row], change: str) -> str:
    shown = number(quick(yardstick, found, against))
    if change == "unchanged":
        return shown
    gap = compare.difference(yardstick, found, plain, against, True)
    if gap is None or gap.p >= SIGNIFICANT or gap.value == 0:
        return shown
    worse = {"lower": gap.value > 0, "higher": gap.value < 0}.get(yardstick.better)
    return shown + (" ~" if worse is None else " !" if worse else " +")


def quick(yardstick: Yardstick, found: list[Row], against: list[Row]) -> float | None:
    """The value without its interval, where that takes long."""
    if yardstick.name == "fvd" and hasattr(yardstick, "sample"):
        return frechet.of_features(stacked(found), stacked(against), yardstick.sample)
    return yardstick.score(found, against).value


def number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def growth(settings: YardstickSettings, most: int) -> None:
    """Two sets of one world: the truth is 0."""
    distance = YARDSTICKS["fvd"](settings)
    both = [stacked(rows(distance, clips(toyland(most, first)))) for first in (FIRST, FIRST + 1_000_000)]
    width = both[0].shape[1]
    print(f"\n| clips of each set | fvd, {width} features | limit of many | kernel_distance | as JEDi prints it |")
    print("|---|---|---|---|---|")
    num = max(most >> 4, 2)
    while num <= most:
        x, y = (each[:num] for each in both)
        grams = kernel_distance.kernel(x, x), kernel_distance.kernel(y, y), kernel_distance.kernel(x, y)
        sizes = frechet.smaller_sets(lambda i, j, x=x, y=y: frechet.of_features(x[i], y[j], True), num, num)
        limit = number(frechet.limit(sizes)) if frechet.is_a_line(min(sizes), x.shape[1]) else "too few"
        kernels = (kernel_distance.SCALE * of(*grams) for of in (kernel_distance.unbiased, kernel_distance.biased))
        print(f"| {num} | {number(sizes[num])} | {limit} | " + " | ".join(map(number, kernels)) + " |", flush=True)
        num *= 2


def rate(names: list[str], settings: YardstickSettings, num: int) -> None:
    """CPU seconds a clip, from files, in one process."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "clips"
        folder.mkdir()
        for index, (frames, words) in enumerate(toyland(num, FIRST)):
            write([Chunk(frames, 0, FPS)], folder / f"{index:05}.mp4")
            (folder / f"{index:05}.txt").write_text(words)
        evaluate(folder, folder, metrics=names[:1], settings=settings, workers=1)  # imports and weights
        began_s, cpu_s = time.perf_counter(), time.process_time()
        found = evaluate(folder, folder, metrics=names, settings=settings, workers=1)
        cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - began_s
    sides = 2 if any(figure.against == "set" for figure in found.figures) else 1
    print(
        f"{', '.join(names)}: {cpu_s / num:.3f} CPU s a clip ({wall_s / num:.3f} s here), {num} clips, "
        f"{'with as many in --against' if sides == 2 else 'no --against'}; 1,000 clips on 2 idle cores: "
        f"{cpu_s / num * 500:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--sets", default="toyland,real")
    parser.add_argument("--features")
    parser.add_argument("--pictures")
    parser.add_argument("--protocol")
    parser.add_argument("--metrics")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--rate", type=int)
    args = parser.parse_args()
    settings = YardstickSettings(features=args.features, pictures=args.pictures, protocol=args.protocol)
    names = args.metrics.split(",") if args.metrics else [name for name in YARDSTICKS if name not in OWN]
    yardsticks = usable(names, settings)
    print(json.dumps({each.name: each.protocol() for each in yardsticks})[:2000])
    if args.growth:
        return growth(settings, args.clips)
    if args.rate:
        return rate([each.name for each in yardsticks], settings, args.rate)
    for kind in args.sets.split(","):
        firsts = (FIRST, FIRST + 1_000_000)
        sets = [toyland(args.clips, f) if kind == "toyland" else real(args.clips, f, args.data) for f in firsts]
        table(kind, sets, yardsticks)
    return None


if __name__ == "__main__":
    main()
