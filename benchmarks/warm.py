"""`kinema generate` with a warm server against a plain diffusers script: whole processes, files written, as ratios.

    python benchmarks/warm.py            # five minutes on two cores
    python benchmarks/warm.py --runs 3

One run starts a server of its own (`kinema serve`, in a new KINEMA_HOME) and has it load the model. Then the plain
script, the command without a server and the command with it run in turn. Times are from the start of a process to its
end, with the .mp4 written. Memory: the peak of the process. Beside the work: the time of the command with a server,
less the time between the submission and the end of its job.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from generate import PROMPT, measured, plain_command

from kinema.cli.connect import on_this_machine

KINEMA = [sys.executable, "-m", "kinema"]
START_S = 180.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="runs of each, after a warm-up run")
    parser.add_argument("--model", default="kinema-mini-wan", help="name of the model")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KINEMA_HOME"] = str(Path(folder) / "home")
        out = Path(folder) / "out.mp4"
        command = [
            *KINEMA,
            "generate",
            PROMPT,
            "--model",
            args.model,
            "--seed",
            "3",
            "--profile",
            "fast",
            "-o",
            str(out),
        ]
        commands = {
            "diffusers": plain_command(args.model, out),
            "without": [*command, "--server", "off"],
            "with": command,
        }
        with server(args.model):
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
            beside: list[float] = []
            for turn in range(args.runs + 1):
                for name, each in commands.items():
                    seconds, megabytes = measured(each)
                    if turn == 0:
                        continue
                    runs[name].append((seconds, megabytes))
                    if name == "with":
                        beside.append(seconds - job_s())
            check(command, out)
    report(runs, beside)


@contextlib.contextmanager
def server(model: str) -> Iterator[None]:
    """A server whose worker has loaded the model."""
    serving = [*KINEMA, "serve", "--port", "0", "--device", "cpu", "--warm", model]
    process = subprocess.Popen(serving, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_S
        while (found := on_this_machine()) is None or not found.server.is_ready():  # a busy core would cost it threads
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(1.0)
        yield
    finally:
        process.terminate()
        process.wait()


def newest() -> dict:
    listed = subprocess.run([*KINEMA, "jobs", "list", "--limit", "1", "--json"], capture_output=True, check=True)
    return json.loads(listed.stdout)["jobs"][0]


def job_s() -> float:
    """Seconds from the submission to the end of the newest job."""
    job = newest()
    return job["ended_at"] - job["created_at"]


def check(command: list[str], out: Path) -> None:
    """The server has made the clips, and their bytes are those of the command alone."""
    there = out.read_bytes()
    if newest()["state"] != "succeeded":
        raise SystemExit("no job succeeded")
    subprocess.run([*command, "--server", "off"], capture_output=True, check=True)
    if out.read_bytes() != there:
        raise SystemExit("the file of the server has other bytes")


def report(runs: dict[str, list[tuple[float, float]]], beside: list[float]) -> None:
    base_s, base_mb = (statistics.median(run[index] for run in runs["diffusers"]) for index in (0, 1))
    print(f"diffusers script         {base_s:6.2f} s             peak {base_mb:5.0f} MB, median of {len(beside)}")
    for name in ("without", "with"):
        ratio = statistics.median(run[0] / other[0] for run, other in zip(runs[name], runs["diffusers"]))
        seconds, megabytes = (statistics.median(run[index] for run in runs[name]) for index in (0, 1))
        print(f"fast, {name + ' a server':18} {seconds:6.2f} s  {ratio:6.3f} x  peak {megabytes:5.0f} MB")
    print(f"beside the work          {statistics.median(beside):6.2f} s")


if __name__ == "__main__":
    main()
