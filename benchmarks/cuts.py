"""Precision and recall of the detectors of cuts: a film of Toyland shots and real ones with 60 hard cuts, 20 fades, 20
dissolves and 10 flashes (which are no cuts).

python benchmarks/cuts.py [--data FOLDER] [--seed N] [--detector NAME ...] [--film FILE]

A transition is found if a detected one overlaps it, or is at most 2 frames away; each counts once. Precision: the share
of detected transitions that found one. FOLDER holds real clips (*.mp4); without it the film is Toyland only.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from kinema.core.chunk import Chunk
from kinema.curation.detectors import DETECTORS, make_detectors
from kinema.curation.transitions import SHORTEST_S, Transition, joined
from kinema.media.read import read_video
from kinema.media.write import write
from kinema.toyland.render import render
from kinema.toyland.scene import sample_scene

FPS, HEIGHT, WIDTH = 25.0, 96, 128
COUNTS = {"hard": 60, "fade": 20, "dissolve": 20}
FLASHES, NEAR = 10, 2


def real_shot(clip_FHWC: np.ndarray, frames: int, random: np.random.Generator) -> np.ndarray:
    """A part of a real clip: cropped at random, mirrored or not, played back and forth."""
    num, height, width = clip_FHWC.shape[:3]
    scale = random.uniform(0.45, 0.8)
    high, wide = int(height * scale), int(min(width, height * scale * WIDTH / HEIGHT))
    top, left = random.integers(0, height - high + 1), random.integers(0, width - wide + 1)
    begin = int(random.integers(num))
    order = [*range(num), *range(num - 2, 0, -1)]
    picked = [order[(begin + k) % len(order)] for k in range(frames)]
    step = -1 if random.random() < 0.5 else 1
    return np.stack(
        [
            cv2.resize(
                np.ascontiguousarray(clip_FHWC[k, top : top + high, left : left + wide][:, ::step]),
                (WIDTH, HEIGHT),
                interpolation=cv2.INTER_AREA,
            )
            for k in picked
        ]
    )


def film(seed: int, data: Path | None) -> tuple[np.ndarray, list[tuple[str, Transition]], list[int]]:
    """Frames uint8 RGB (F, H, W, 3), the transitions with their kinds, the frames of flashes."""
    random = np.random.default_rng(seed)
    clips = [read_video(path)[0] for path in sorted(data.glob("*.mp4"))] if data else []
    kinds = [kind for kind, count in COUNTS.items() for _ in range(count)]
    random.shuffle(kinds)
    lengths = [int(length) for length in random.integers(30, 60, len(kinds) + 1)]
    truth: list[tuple[str, Transition]] = []
    flashes: list[int] = []
    parts: list[np.ndarray] = []
    rest = np.empty((0, HEIGHT, WIDTH, 3), np.uint8)

    def done() -> int:
        return sum(map(len, parts))

    for number, kind in enumerate(["", *kinds]):
        body, length, used = shot(number, lengths[number] + 52, clips, seed, random), lengths[number], 0
        begin = done()
        if kind == "hard":
            truth.append((kind, Transition(begin, begin)))
        elif kind == "fade":
            out, used = int(random.integers(6, 16)), int(random.integers(6, 16))
            parts.append(mixed(rest[:out], 0, np.linspace(1, 0, out + 1)[1:]))
            parts.append(mixed(body[:used], 0, np.linspace(0, 1, used + 1)[:-1]))
            truth.append((kind, Transition(begin, begin + out + used)))
        elif kind == "dissolve":
            used = int(random.integers(8, 26))
            parts.append(mixed(body[:used], rest[:used], np.linspace(0, 1, used + 2)[1:-1]))
            truth.append((kind, Transition(begin, begin + used)))
        rest, body = body[used + length :], body[used : used + length]
        if number % (len(kinds) // FLASHES) == 5:
            place, wide = length // 2, int(random.integers(1, 4))
            body[place : place + wide] = mixed(body[place : place + wide], 255, np.full(wide, 0.25))
            flashes.append(done() + place)
        parts.append(body)
    return np.concatenate(parts), truth, flashes


def shot(number: int, frames: int, clips: list[np.ndarray], seed: int, random: np.random.Generator) -> np.ndarray:
    """Every third shot is real, if there are clips, the others are Toyland's."""
    if clips and number % 3 == 1:
        return real_shot(clips[int(random.integers(len(clips)))], frames, random)
    made = render([sample_scene(seed * 1000 + number)], num_frames=frames, height=HEIGHT, width=WIDTH, fps=FPS)
    return made.frames_BFHWC[0].cpu().numpy()


def mixed(one_FHWC: np.ndarray, other: np.ndarray | int, share_F: np.ndarray) -> np.ndarray:
    share = share_F[:, None, None, None]
    return (one_FHWC * share + other * (1 - share)).round().clip(0, 255).astype(np.uint8)


def matched(found: list[Transition], truth: list[tuple[str, Transition]]) -> tuple[list[bool], list[Transition]]:
    """Whether each true transition is found, and the detected ones that found nothing."""
    left, seen = list(found), []
    for _, wanted in truth:
        hit = next((one for one in left if one.first <= wanted.last + NEAR and one.last >= wanted.first - NEAR), None)
        seen.append(hit is not None)
        if hit is not None:
            left.remove(hit)
    return seen, left


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--detector", action="append", choices=sorted(DETECTORS))
    options.add_argument("--film", type=Path, help="write the film to this file")
    args = options.parse_args()
    frames, truth, flashes = film(args.seed, args.data)
    print(f"{len(frames)} frames of {WIDTH}x{HEIGHT} at {FPS:g} fps, {len(truth)} transitions, {len(flashes)} flashes")
    if args.film:
        write(iter([Chunk(frames, 0, FPS)]), args.film)
        frames = read_video(args.film)[0]
    print("| detector | hard cuts: precision | recall | fades found | dissolves found | flashes taken for cuts | false "
          "| seconds |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for name in args.detector or DETECTORS:
        (detector,) = make_detectors([name], FPS)
        before = time.process_time()
        for number, frame in enumerate(frames):
            detector.see(number, frame[..., ::-1].copy())
        found = joined(detector.finish(), round(SHORTEST_S * FPS))
        seconds = time.process_time() - before
        seen, false = matched(found, truth)
        shares = {kind: [hit for (own, _), hit in zip(truth, seen) if own == kind] for kind in COUNTS}
        hard_false = sum(each.first == each.last for each in false)
        precision = sum(shares["hard"]) / max(1, sum(shares["hard"]) + hard_false)
        flashed = sum(any(abs(each.first - place) <= 5 for each in false) for place in flashes)
        recall = sum(shares["hard"]) / len(shares["hard"])
        print(
            f"| {name} | {precision:.3f} | {recall:.3f} | {sum(shares['fade'])}/20 | {sum(shares['dissolve'])}/20 | "
            f"{flashed} | {len(false)} | {seconds:.1f} |"
        )
        for (kind, place), hit in zip(truth, seen):
            if not hit:
                print("   missed", kind, place)
        print("   false", false)


if __name__ == "__main__":
    main()
