"""OpenMP wait settings: times of warm clips, alone and next to busy processes, as ratios.

    python benchmarks/waiting.py             # two minutes on two cores, which must be idle
    python benchmarks/waiting.py --busy 3 --clips 5

Each row runs in a separate process, since the settings must be made before torch is loaded. "later" is the worst case:
the model is loaded on an idle machine, with one thread per core, and the busy processes start afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

SETTINGS: dict[str, dict[str, str]] = {
    "the library's default": {"GOMP_SPINCOUNT": "300000"},
    "no spinning": {"GOMP_SPINCOUNT": "0"},
    "1,000 spins": {"GOMP_SPINCOUNT": "1000"},
    "Kinema": {},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
CLIPS = """
import json, statistics, sys, time
import kinema
engine = kinema.load("kinema-mini-wan", progress=False)
times = []
print("loaded", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1]) + 1):
    started = time.perf_counter()
    engine.generate("a red ball", seed=1, progress=False).frames()
    times.append(time.perf_counter() - started)
import torch
print(json.dumps({"seconds": statistics.median(times[1:]), "threads": torch.get_num_threads()}), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=3, help="number of busy processes")
    parser.add_argument("--clips", type=int, default=5, help="clips per row, after a warm-up clip")
    parser.add_argument("--limit", type=float, default=120, help="timeout of a row in seconds")
    args = parser.parse_args()
    found: dict[tuple[str, str], tuple[float, int]] = {}
    for when in ("alone", "beside", "later"):
        for name, settings in SETTINGS.items():
            found[when, name] = timed(settings, when, args)
    base = {when: found[when, "OMP_NUM_THREADS=1"][0] for when in ("alone", "beside", "later")}
    print(f"{'':24}{'alone':>22}{f'{args.busy} busy':>22}{'busy later':>22}")
    for name in SETTINGS:
        cells = []
        for when in ("alone", "beside", "later"):
            seconds, threads = found[when, name]
            cells.append(f"{seconds:.2f} s {seconds / base[when]:5.2f} x ({threads})" if seconds else "timeout")
        print(f"{name:24}" + "".join(f"{cell:>22}" for cell in cells))
    print("Seconds per warm clip, ratio to one thread, and the number of threads in brackets.")


def timed(settings: dict[str, str], when: str, args: argparse.Namespace) -> tuple[float, int]:
    """Median seconds per clip and the number of threads; zeros after a timeout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    with contextlib.ExitStack() as stack:
        if when == "beside":
            stack.enter_context(busy(args.busy))
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", CLIPS, str(args.clips)], env={**kept, **settings}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        if when == "later":
            stack.enter_context(busy(args.busy))
        try:
            output, _ = process.communicate("\n", timeout=args.limit)
        except subprocess.TimeoutExpired:
            process.kill()
            return 0.0, 0
        found = json.loads(output)
        return float(found["seconds"]), int(found["threads"])


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Context with `count` busy processes."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
