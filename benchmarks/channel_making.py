"""Faults of the processes that make a channel's shots, while it is on air.

    python benchmarks/channel_making.py [--minutes 15] [--postgres] [--seed 1] [--folder DIR]

A running channel (small clips, the fake maker of tests/channel, shots that continue each other), to which one fault
after the other happens at random moments: its worker or producer is killed (-9), both are, the worker is stopped for a
while; with --postgres also a `kinema worker` with its machine, and the database itself. Its clips are made without end,
so a shot is always in progress. At the end the channel is left alone until all shots in progress have ended.

Reported for each fault: the longest time without a new HLS segment, and the seconds until the next shot was published.
Then, of all shots: published, failed, generated more than once; and the jobs and media that are left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "channel"))
import psutil
from running_channel import Process, channel_file, config_of, ended

from kinema.channel import control
from kinema.channel.library import Library
from kinema.channel.making.ledger import Ledger
from kinema.channel.making.producer import database_of
from kinema.jobs.store import JobStore

PAUSE_S = (6.0, 14.0)
SECONDS = "0.8"


class Bench:
    """A running channel. with_workers: two more workers, over the database server."""

    def __init__(self, folder: Path, database: str, seed: int, server: object | None) -> None:
        self.log, self.rng, self.server, self.database = folder / "fake.log", random.Random(seed), server, database
        making = "in_flight = 4\nworker_lost_s = 6"
        self.file = channel_file(folder, enough=10**5, making=making, maker="FakeContinuer", database=database)
        self.config = config_of(self.file)
        command = [sys.executable, "-m", "kinema", "channel", "start", str(self.file)]
        self.channel = Process(command, self.log, FAKE_SECONDS=SECONDS)
        self.workers = [self.worker(number) for number in range(2)] if server is not None else []
        self.last, self.last_at, self.worst_s = "", time.monotonic(), 0.0

    def worker(self, number: int) -> Process:
        command = [sys.executable, "-m", "kinema", "worker", "--database", self.database, "--lost", "6"]
        return Process(
            command, self.log.with_name(f"worker-{number}.log"), FAKE_SECONDS=SECONDS, FAKE_LOG=str(self.log)
        )

    def published(self) -> int:
        return int(control.status(self.config)["shots"]["published"])

    def watch(self, seconds: float) -> None:
        """Look at the playlist for a while; worst_s: the longest time without a change."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                text = (self.config.root / "on_air" / "live.m3u8").read_text()
                if text != self.last:
                    self.last, self.last_at = text, time.monotonic()
            self.worst_s = max(self.worst_s, time.monotonic() - self.last_at)
            time.sleep(0.1)

    def processes(self) -> dict[str, psutil.Process]:
        """The producer and its worker."""
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.channel.popen.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words = " ".join(child.cmdline())
                for name in ("channel.making.producer", "jobs.worker"):
                    if name in words:
                        found[name.rpartition(".")[2]] = child
        return found

    def fault(self) -> str:
        """Do harm; return what."""
        names = ["worker killed", "producer killed", "worker and producer killed", "worker stopped for 3 s"]
        names += ["machine of a worker killed", "database killed for 8 s"] if self.server is not None else []
        name, found = self.rng.choice(names), self.processes()
        if name == "machine of a worker killed":
            victim = self.rng.randrange(len(self.workers))
            processes = [*psutil.Process(self.workers[victim].popen.pid).children(), self.workers[victim].popen]
            for process in processes:
                process.kill()
            self.workers[victim].kill()
            self.workers[victim] = self.worker(10 + self.rng.randrange(10**6))
            return name
        if name == "database killed for 8 s":
            self.server.crash()
            self.watch(8.0)
            self.server.start()
            return name
        if name == "worker stopped for 3 s":
            if "worker" in found:
                found["worker"].suspend()
                self.watch(3.0)
                found["worker"].resume()
            return name
        for each in ("worker", "producer"):
            if each in name and each in found:
                with contextlib.suppress(psutil.Error):
                    found[each].send_signal(signal.SIGKILL)
        return name

    def run(self, minutes: float) -> None:
        """Print a row for each kind of fault."""
        while not self.last:
            self.watch(0.5)
        self.worst_s, rows = 0.0, defaultdict(list)
        self.watch(20.0)
        print(f"| without a fault, 20 s | 1 | {self.worst_s:.1f} | |", flush=True)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            while len(self.processes()) < 2:  # of the last fault
                self.watch(0.5)
            self.worst_s, before = 0.0, self.published()
            name, began = self.fault(), time.monotonic()
            while self.published() == before:
                self.watch(0.5)
                if time.monotonic() - began > 180:
                    print(f"no shot was published within 180 s after: {name}")
                    break
            took_s = time.monotonic() - began
            self.watch(self.rng.uniform(*PAUSE_S))
            rows[name].append((self.worst_s, took_s))
        for name, values in sorted(rows.items()):
            print(f"| {name} | {len(values)} | {max(v[0] for v in values):.1f} | {max(v[1] for v in values):.1f} |")

    def end(self) -> None:
        """Let the shots in progress end, stop, and report on all shots."""
        self.file.write_text(self.file.read_text().replace(f"enough = {10**5}", "enough = 1"))
        self.processes()["producer"].kill()  # the next one reads the file again
        limit = time.monotonic() + 120
        while control.status(self.config)["shots"]["making"] and time.monotonic() < limit:
            self.watch(0.5)
        self.watch(8.0)
        state = control.status(self.config)
        with JobStore.open(*database_of(self.config)) as store:
            left = [(job.name, job.state) for job in store.list()], store.media.total_bytes()
        for each in self.workers:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(each.popen.pid).children():
                    child.kill()
            each.kill()
        control.stop(self.config)
        with Library(self.config.root) as library, Ledger(self.config.root) as ledger:
            clips, shots = library.ready(), ledger.counts()
            cuts = Counter(clip.shot.get("why_cut", "") for clip in clips if clip.shot["continuity"] == "continue")
            reasons = [(shot.id, shot.reason) for shot in ledger.lately("aside", 10)]
        drawn = ended(self.log)
        again = sum(count - 1 for count in drawn.values())
        once = len({clip.id for clip in clips}) == len(clips)
        print(f"\nshots: {shots}; clips in the library: {len(clips)}, each once: {once}")
        print(f"generated {sum(drawn.values())} times, {again} of them again; continued shots made as: {dict(cuts)}")
        print(f"failed: {reasons}; jobs left: {left[0]}; media left: {left[1]} bytes")
        print(f"trouble: {state['producer']['trouble']!r}")
        playout = state["playout"] or {}
        print(f"late frames: {playout.get('late_frames')}; alarms: {playout.get('alarms')}")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--minutes", type=float, default=15)
    options.add_argument("--postgres", action="store_true")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--folder", type=Path)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = args.folder or Path(work)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["KINEMA_HOME"] = str(folder / "home")
        server = None
        if args.postgres:
            from postgres_server import Server

            server = Server()
        bench = Bench(folder, server.url if server else "sqlite", args.seed, server)
        try:
            print("| fault | times | longest without a new segment, s | until the next shot, s |\n|---|---|---|---|")
            bench.run(args.minutes)
            bench.end()
        finally:
            for each in [bench.channel, *bench.workers]:
                with contextlib.suppress(psutil.Error):
                    for child in psutil.Process(each.popen.pid).children(recursive=True):
                        child.kill()
                each.kill()
            if server is not None:
                server.stop()


if __name__ == "__main__":
    main()
