"""Jobs under kill -9 of workers, of the process that supervises them, or both, while listeners come and go.

    python benchmarks/jobs.py                    # SQLite with 1 worker, then PostgreSQL with 2; 40 clips, 20 kills each
    python benchmarks/jobs.py --latency          # from submitting to starting, and the cost of an idle worker

Checks: each job ends exactly once; the file of each is that of a run without kills; nothing in the store is left over;
every listener sees every event in order. PostgreSQL: its server is started in a temporary folder, or --postgres URL.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema.jobs.claims import workers
from kinema.jobs.store import JobStore
from kinema.jobs.worker import DATABASE_ENV

KEEP = ["--keep", "0", "--lost", "4"]
VARIANTS = {"clip": 8, "echo": 2}
SERVE = """
import sys, threading
from kinema.jobs.store import JobStore
from kinema.jobs.supervise import Workers
url, folder, count, *arguments = sys.argv[1:]
with JobStore.open(url, folder or None) as store:
    with Workers(store, url, folder or None, num_workers=int(count), arguments=arguments):
        threading.Event().wait()
"""
"""A server, as far as jobs are concerned: it supervises workers."""


class Server:
    """A process that supervises workers, in a session of its own."""

    def __init__(self, store: JobStore, url: str, num_workers: int, arguments: list[str]) -> None:
        self.store, self.command = store, [sys.executable, "-c", SERVE, url, "", str(num_workers), *arguments]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, start_new_session=True)

    def pids(self) -> list[int]:
        """Of its workers, as they are registered and run."""
        return [worker.pid for worker in workers(self.store) if _runs(worker.pid)]

    def kill(self, what: str, rng: random.Random) -> None:
        """kill -9 of a worker, the server, or both; the server is started again."""
        pids = self.pids()
        if what in ("worker", "both") and pids:
            os.kill(rng.choice(pids), signal.SIGKILL)
        if what in ("server", "both"):
            self.process.kill()
            self.process.wait()
            self.start()

    def stop(self) -> None:
        pids = self.pids()
        self.process.kill()
        self.process.wait()
        end = time.monotonic() + 30
        while any(map(_runs, pids)) and time.monotonic() < end:  # they end by themselves
            time.sleep(0.1)


@dataclass
class Listeners:
    """Threads that follow jobs, each with a connection of its own that it drops again and again."""

    url: str
    ids: list[str]
    seen: dict[tuple[int, str], list[int]] = field(default_factory=dict)

    def follow(self, number: int, rng: random.Random) -> None:
        for id in rng.sample(self.ids, min(4, len(self.ids))):
            numbers = self.seen.setdefault((number, id), [])
            ended = False
            while not ended:
                with JobStore.open(self.url) as store:
                    version, leaves = "", time.monotonic() + rng.uniform(0.2, 2.0)
                    while not ended and time.monotonic() < leaves:
                        version = store.wait(version, 0.5)
                        for event in store.events(id, after=numbers[-1] if numbers else 0):
                            numbers.append(event.number)
                            ended = event.kind == "state" and event.data["state"] in ("succeeded", "failed")

    def start(self, count: int, seed: int) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=self.follow, args=(number, random.Random(seed + number)), daemon=True)
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        return threads


def bodies(count: int, kind: str) -> list[dict[str, Any]]:
    """Bodies of `count` jobs; those of one remainder by VARIANTS are the same."""
    if kind != "clip":
        return [{"n": number % VARIANTS[kind], "steps": 20, "step_s": 0.03} for number in range(count)]
    things = ("red ball", "blue car", "yellow star", "green boat")
    return [
        {
            "prompt": f"a {things[number % 4]} rolls left",
            "seed": number % 8,
            "profile": "exact",
            "steps": 12,
            "frames": 5,
        }
        for number in range(count)
    ]


def harm(
    url: str, *, num_workers: int, jobs: int, kills: int, seed: int = 0, kind: str = "clip", listeners: int = 20,
    arguments: tuple[str, ...] = (), every_s: float = 5.0,
) -> dict[str, Any]:  # fmt: skip
    """Run jobs twice, without and with kills, and compare. AssertionError if anything is lost or differs."""
    rng = random.Random(seed)
    with JobStore.open(url, kinds=_kinds(arguments)) as store:
        server = Server(store, url, num_workers, [*KEEP, *arguments])
        try:
            first = [
                store.submit(kind, body, key=f"whole-{n}")[0].id for n, body in enumerate(bodies(VARIANTS[kind], kind))
            ]
            _wait(store, first)
            whole = [_content(store, id) for id in first]
            began = time.monotonic()
            ids = []
            for number, body in enumerate(bodies(jobs, kind)):
                ids.append(store.submit(kind, body, key=f"job-{number}")[0].id)
                again, is_new = store.submit(kind, body, key=f"job-{number}")
                assert again.id == ids[-1] and not is_new  # its state may have changed meanwhile
            following = Listeners(url, ids)
            threads = following.start(listeners, seed)
            what = Counter[str]()
            while what.total() < kills and not all(store.get(id).ended for id in ids):
                # The first while a job has a kept state, the others at random while jobs run. At most two for each job
                # that ends: a process takes seconds to start, and a job whose attempts all die at once fails, as it
                # should.
                if not what:
                    _wait_for_kept(store, ids)
                    server.kill("both", rng)
                    what["both"] += 1
                    continue
                time.sleep(rng.uniform(0, every_s))
                counts = store.counts()
                if counts["running"] and what.total() < 2 * (counts["succeeded"] - len(first) + 1):
                    choice = rng.choice(["worker", "worker", "server", "both"])
                    server.kill(choice, rng)
                    what[choice] += 1
            _wait(store, ids)
            took = time.monotonic() - began
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive(), "a listener waits for an event that never comes"
        finally:
            server.stop()
        resumed = 0
        for number, id in enumerate(ids):
            job, events = store.get(id), store.events(id)
            assert job.state == "succeeded", job
            assert [event.number for event in events] == list(range(1, len(events) + 1))
            ends = [event for event in events if event.kind == "state" and event.data["state"] == "succeeded"]
            assert len(ends) == 1 and events[-1] == ends[0], job
            assert _content(store, id) == whole[number % VARIANTS[kind]], f"{id} differs from the run without kills"
            resumed += any(event.kind == "resumed" for event in events)
        for (_, id), numbers in following.seen.items():
            assert numbers == list(range(1, len(store.events(id)) + 1)), "a listener missed an event"
        return {
            "jobs": len(ids), "kills": dict(what), "seconds": round(took, 1),
            "attempts": sum(store.get(id).attempts for id in ids), "resumed": resumed,
            "followed": len(following.seen), "left over": left_over(store),
        }  # fmt: skip


def left_over(store: JobStore) -> dict[str, int]:
    """What is in the store and belongs to no job, after a collection."""
    store.media.collect(time.time() + 1e6, 0)
    store.media.sweep(-1)
    with store.database.look() as do:
        rows = {row["sha"] for row in do("SELECT sha FROM kinema_media")}
        wanted = {row["sha"] for row in do("SELECT sha FROM kinema_job_media")}
        lost = do("SELECT count(*) AS n FROM kinema_job_media r WHERE NOT EXISTS "
                  "(SELECT 1 FROM kinema_jobs j WHERE j.id = r.job)")[0]["n"]  # fmt: skip
        events = do("SELECT count(*) AS n FROM kinema_job_events e WHERE NOT EXISTS "
                    "(SELECT 1 FROM kinema_jobs j WHERE j.id = e.job)")[0]["n"]  # fmt: skip
    missing = [sha for sha in wanted if not store.media.has(sha)]
    files = {path.name for path in store.media.folder.rglob("*") if path.is_file()}
    found = {
        "media of no job": len(rows - wanted), "references to no media": len(wanted - rows), "missing": len(missing),
        "references of no job": int(lost), "events of no job": int(events), "stray files": len(files - rows),
    }  # fmt: skip
    assert not any(found.values()), found
    return found


def latency(url: str) -> dict[str, Any]:
    """Seconds from submitting to the start, with an idle worker, and its share of a core while idle."""
    import psutil

    with JobStore.open(url) as store:
        environ = {**os.environ, DATABASE_ENV: url}
        process = subprocess.Popen(
            [sys.executable, "-m", "kinema.jobs.worker", "--warm", "kinema-mini-wan"], env=environ
        )
        try:
            while not workers(store):
                time.sleep(0.1)
            body = {"prompt": "a red ball rolls left", "profile": "fast", "seed": 1}
            _wait(store, [store.submit("clip", body)[0].id])
            waits, took = [], []
            for number in range(12):
                time.sleep(0.5 + 0.037 * number)
                id = store.submit("clip", body)[0].id
                _wait(store, [id])
                job = store.get(id)
                waits.append(job.started_at - job.created_at)
                took.append(job.ended_at - job.started_at)
            time.sleep(1)
            idle = psutil.Process(process.pid)
            before, since = sum(idle.cpu_times()[:2]), time.monotonic()
            time.sleep(15)
            share = (sum(idle.cpu_times()[:2]) - before) / (time.monotonic() - since)
        finally:
            process.terminate()
            process.wait()
    waits.sort()
    return {
        "start_s": {"median": round(waits[len(waits) // 2], 3), "max": round(waits[-1], 3)},
        "clip_s": round(min(took), 3), "idle_share": round(share, 4),
    }  # fmt: skip


def _content(store: JobStore, id: str) -> Any:
    """What a job made: the hash of its file."""
    result = store.get(id).result
    return result.get("media", result)


def _wait(store: JobStore, ids: list[str]) -> None:
    version = ""
    while not all(store.get(id).ended for id in ids):
        version = store.wait(version, 1.0)


def _wait_for_kept(store: JobStore, ids: list[str]) -> None:
    """Wait until a job that runs has a kept state, or all have ended."""
    while not all(store.get(id).ended for id in ids):
        with store.database.look() as do:
            if do("SELECT id FROM kinema_jobs WHERE state = 'running' AND kept IS NOT NULL"):
                return
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _kinds(arguments: tuple[str, ...]) -> Any:
    from kinema.jobs.worker import _kinds

    return _kinds(arguments[arguments.index("--kinds") + 1]) if "--kinds" in arguments else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--postgres", metavar="URL", help="an empty database of a running server")
    parser.add_argument("--latency", action="store_true")
    asked = parser.parse_args()
    server = None
    with tempfile.TemporaryDirectory(prefix="kinema-jobs-") as folder:
        os.environ["KINEMA_HOME"] = folder
        places = {"sqlite": (f"sqlite:///{folder}/jobs.sqlite", 1)}
        if asked.only != "sqlite":
            if asked.postgres is None:
                sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
                from postgres_server import Server as Postgres

                server = Postgres()
            places["postgresql"] = (asked.postgres or server.new_database(), 2)
        try:
            for name, (url, num_workers) in places.items():
                if asked.only in (None, name):
                    found = latency(url) if asked.latency else harm(
                        url, num_workers=num_workers, jobs=asked.jobs, kills=asked.kills, seed=asked.seed
                    )  # fmt: skip
                    print(f"{name}: {found}", flush=True)
        finally:
            if server is not None:
                server.stop()


if __name__ == "__main__":
    main()
