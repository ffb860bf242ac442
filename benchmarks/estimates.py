"""Accuracy of time estimates: a table of estimated and actual times of commands.

    python benchmarks/estimates.py                  # every command twice, in an empty home
    python benchmarks/estimates.py --only animate --runs 3
    python benchmarks/estimates.py --beside 3       # the same next to busy processes

Each command runs in its own process. Estimated: the seconds left in its first progress line, loading of libraries and
weights included. Took: from that line to the end of the process. The first run estimates from the amount of work, the
second from the measured first run. `busy`: slowdown of this process relative to an idle machine (core/threads.crowd). A
ratio is took / estimated; ratios beyond 1.5 either way are marked.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.5
SHOW = """
import sys
import kinema.core.display as display
display.duration = lambda seconds: f"{seconds:.2f} s"
from kinema.cli.main import main
sys.argv[0] = "kinema"
main()
"""
"""The command line with more digits in its estimates."""
CLIP = "a red ball rolls left over a green hill at sunset"
COMMANDS = {
    "samples": ("samples", "samples"),
    "generate exact": ("generate", CLIP, "--profile", "exact", "-o", "exact.mp4"),
    "generate balanced": ("generate", CLIP, "-o", "balanced.mp4"),
    "generate fast": ("generate", CLIP, "--profile", "fast", "-o", "fast.mp4"),
    "generate, 49 frames": ("generate", CLIP, "--frames", "49", "-o", "long.mp4"),
    "animate": ("animate", "samples/car.png", "-o", "animate.mp4"),
    "remove": ("remove", "samples/road.mp4", "--click", "0.79,0.7", "-o", "gone.mp4"),
    "outpaint": ("outpaint", "samples/road.mp4", "--left", "0.25", "--right", "0.25", "-o", "wide.mp4"),
    "extend": ("extend", "samples/road.mp4", "a red car in the desert", "--seconds", "1", "-o", "longer.mp4"),
    "upscale by a model": ("upscale", "balanced.mp4", "--by", "model", "--scale", "1.5", "-o", "second.mp4"),
    "upscale, Lanczos": ("upscale", "samples/road.mp4", "--by", "lanczos", "--scale", "4", "-o", "large.mp4"),
    "interpolate, FILM": ("interpolate", "balanced.mp4", "--fps", "24", "-o", "smooth.mp4"),
    "interpolate, larger": ("interpolate", "samples/road.mp4", "--times", "2", "-o", "smoother.mp4"),
    "music, 60 s": ("music", "calm, 90 bpm", "-o", "music.m4a"),
    "score": ("score", "balanced.mp4", "--theme", "playful", "-o", "scored.mp4"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only commands with this in their name (and the samples)")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="number of busy processes")
    parser.add_argument("--home", type=Path, help="an existing KINEMA_HOME; default: a new one")
    args = parser.parse_args()
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.beside)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            table(args.only, args.runs, Path(folder), args.home)
    finally:
        for each in others:
            each.kill()


def table(only: str, runs: int, folder: Path, home: Path | None) -> None:
    """Print the table in Markdown, row by row."""
    environment = {**os.environ, "KINEMA_HOME": str(home or folder / "home"), "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
    print("| command | run | estimated, s | took, s | ratio | busy |\n|---|---|---|---|---|---|", flush=True)
    beyond = counted = 0
    for name, words in COMMANDS.items():
        if only not in name and name not in ("samples", "generate balanced"):
            continue
        for number in range(1, runs + 1):
            estimated, took = one(words, number, folder, environment)
            if estimated is None:
                print(f"| {name} | {number} | none | {took:.1f} | | {busy():.1f} |", flush=True)
                continue
            ratio = took / estimated
            counted, beyond = counted + 1, beyond + (max(ratio, 1 / ratio) > LIMIT)
            mark = "**" if max(ratio, 1 / ratio) > LIMIT else ""
            print(
                f"| {name} | {number} | {estimated:.1f} | {took:.1f} | {mark}{ratio:.2f}{mark} | {busy():.1f} |",
                flush=True,
            )
    print(f"\n{beyond} of {counted} ratios are beyond a factor of {LIMIT:g}.")


def one(words: tuple[str, ...], number: int, folder: Path, environment: dict[str, str]) -> tuple[float | None, float]:
    """(estimated seconds of the first progress line, seconds from then on) of a command. Output names differ between
    runs."""
    given = [re.sub(r"^(\w+)(\.\w+)$", rf"\g<1>-{number}\2", word) if before == "-o" and number > 1 else word
             for before, word in zip(("", *words), words)]  # fmt: skip
    if words[0] == "samples" and number > 1:
        given[-1] = f"samples-{number}"
    began = time.perf_counter()
    command = [sys.executable, "-c", SHOW, *given]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        estimated, since, lines = None, began, []
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"([0-9.]+) s left", line)
            if estimated is None and found:
                estimated, since = float(found[1]), time.perf_counter()
        code = process.wait()
    if code:
        sys.exit(f"kinema {' '.join(given)}: {''.join(lines[-5:])}")
    return estimated, time.perf_counter() - since


def busy() -> float:
    """Slowdown of this process by other processes, measured during 0.1 s of CPU time."""
    began, ran = time.perf_counter(), time.process_time()
    while time.process_time() - ran < 0.1:
        pass
    return (time.perf_counter() - began) / 0.1


if __name__ == "__main__":
    main()
