"""ComfyUI's API under load and kill -9: prompts of many clients that come and go, while the server dies.

    python benchmarks/comfy_load.py                 # 200 prompts, 20 clients, 3 kills of the server, 3 of a worker
    python benchmarks/comfy_load.py --listing       # GET /api/jobs with 5,000 finished jobs

The nodes are those of tests/server/comfy_stand_in.py: this measures the server, not the models. Checks: each prompt
ends once and gives the pixels of a run without kills; each client hears of the end of each of its prompts.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STAND_IN = Path(__file__).parents[1] / "tests" / "server"
sys.path.insert(0, str(STAND_IN))
SERVE = """
import sys, importlib
from kinema.http.connection_limits import FOR_JOBS
from kinema.http.changes import Changes
from kinema.http.listening import listen
from kinema.http.serving import serve
from kinema.jobs.kinds import Kinds
from kinema.jobs.store import JobStore
from kinema.jobs.supervise import Workers
from kinema.server.app import server_app
from kinema.server.settings import ServerSettings
url, port, workers, kinds = sys.argv[1:]
module, _, name = kinds.partition(":")
with JobStore.open(url, kinds=Kinds(getattr(importlib.import_module(module), name))) as store:
    changes = Changes(store.wait)
    app = server_app(store, ServerSettings(planners=1), changes)
    arguments = ("--kinds", kinds, "--keep", "0", "--lost", "4")
    with Workers(store, url, num_workers=int(workers), arguments=arguments):
        serve(app, listen("127.0.0.1", int(port)), limits=FOR_JOBS, closing=changes.close)
"""
"""`kinema serve` with another kind `workflow`."""


class LoadServer:
    """A server process at a port that stays the same, with its workers."""

    def __init__(self, url: str, home: Path, workers: int = 1, kinds: str = "comfy_stand_in:ALL") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.command = [sys.executable, "-c", SERVE, url, str(self.port), str(workers), kinds]
        self.environment = {**os.environ, "KINEMA_HOME": str(home), "PYTHONPATH": str(STAND_IN), "OMP_NUM_THREADS": "1"}
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment, start_new_session=True)
        end = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):
                self.ask("/prompt")
                return
            time.sleep(0.05)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        """kill -9, and start again."""
        self.process.kill()
        self.process.wait()
        self.start()

    def kill_worker(self, rng: random.Random) -> bool:
        """kill -9 of one of its workers; whether there was one."""
        import psutil

        children = [
            each for each in psutil.Process(self.process.pid).children() if "worker" in " ".join(each.cmdline())
        ]
        if children:
            rng.choice(children).kill()
        return bool(children)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://{self.address}{path}", data, timeout=30) as answer:
            content = answer.read()
        with contextlib.suppress(ValueError):
            return json.loads(content)
        return content

    def patiently(self, path: str, body: Any = None) -> Any:
        """`ask`, again while the server is away."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.ask(path, body)
            except OSError as error:
                if isinstance(error, urllib.error.HTTPError) or time.monotonic() > end:
                    raise
                time.sleep(0.05)


@dataclass
class ComfyTab:
    """A client that listens, drops its connection now and then, and returns under its id."""

    server: LoadServer
    stays_s: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    ended: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    def run(self, stop: threading.Event) -> None:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        while not stop.is_set():
            try:
                with connect(
                    f"ws://{self.server.address}/ws?clientId={self.id}", close_timeout=0.1, open_timeout=5
                ) as link:
                    self.connections += 1
                    until = time.monotonic() + self.stays_s
                    while time.monotonic() < until and not stop.is_set():
                        with contextlib.suppress(TimeoutError):
                            said = json.loads(link.recv(timeout=0.2))
                            if said["type"] == "execution_success":
                                self.ended[said["data"]["prompt_id"]] += 1
            except (OSError, WebSocketException, TimeoutError):
                stop.wait(0.3)


def pixels_of(body: dict[str, Any], folder: Path) -> bytes:
    """The pixels that a prompt gives when nothing is killed."""
    import comfy_stand_in
    from PIL import Image

    from kinema.workflow.findings import examine
    from kinema.workflow.formats.api import parse_api

    class _Files:
        def reserve(self, _prefix: str, suffix: str, _kind: str, /) -> Path:
            return folder / f"{uuid.uuid4().hex}{suffix}"

    written = comfy_stand_in.run(
        examine(parse_api(body, "prompt")), models={}, inputs=None, outputs=_Files(), cache=None, engines=None,
        report=lambda _event: None, carry={}, states=None,
    )  # fmt: skip
    return Image.open(written[0].path).convert("RGB").tobytes()


def load(
    folder: Path, *, prompts: int = 200, clients: int = 20, kills: int = 3, worker_kills: int = 3, steps: int = 4,
    step_s: float = 0.05, every_s: float = 6.0, seed: int = 0, limit_s: float = 600.0,
) -> dict[str, Any]:  # fmt: skip
    """Run the load; return numbers. AssertionError if a prompt is lost, ends twice, or gives other pixels."""
    from comfy_stand_in import prompt
    from PIL import Image

    from kinema.jobs.store import JobStore

    rng, url, began = random.Random(seed), f"sqlite:///{folder / 'jobs.sqlite'}", time.monotonic()
    server, stop = LoadServer(url, folder / "home"), threading.Event()
    tabs = [ComfyTab(server, rng.uniform(1, 4)) for _ in range(clients)]
    threads = [threading.Thread(target=tab.run, args=(stop,), daemon=True) for tab in tabs]
    try:
        for thread in threads:
            thread.start()
        ids: dict[str, tuple[int, ComfyTab]] = {}
        for number in range(prompts):
            id, tab = str(uuid.uuid4()), tabs[number % clients]
            body = {"prompt": prompt(number, steps, step_s), "client_id": tab.id, "prompt_id": id}
            assert server.patiently("/prompt", body)["prompt_id"] == id
            ids[id] = number, tab
        harms = ["server"] * kills + ["worker"] * worker_kills
        rng.shuffle(harms)
        done: Counter[str] = Counter()
        next_s = time.monotonic() + every_s
        while (remaining := server.patiently("/prompt")["exec_info"]["queue_remaining"]) or harms:
            assert time.monotonic() - began < limit_s, f"{remaining} remain"
            if harms and time.monotonic() > next_s:
                what = harms.pop()
                if what == "server":
                    server.kill()
                    done[what] += 1
                else:
                    done[what] += server.kill_worker(rng)
                next_s = time.monotonic() + rng.uniform(0.3, 1.0) * every_s
            elif not remaining:
                break
            time.sleep(0.1)
        took_s = time.monotonic() - began
        end = time.monotonic() + 15
        while any(not tab.ended[id] for id, (_, tab) in ids.items()) and time.monotonic() < end:
            time.sleep(0.1)
        with JobStore.open(url) as store:
            for id, (number, tab) in ids.items():
                [record] = server.patiently(f"/history/{id}").values()
                assert record["status"]["status_str"] == "success", record["status"]
                [file] = record["outputs"]["28"]["images"]
                content = server.patiently("/view?" + "&".join(f"{key}={value}" for key, value in file.items()))
                found = Image.open(io.BytesIO(content)).convert("RGB").tobytes()
                assert found == pixels_of(prompt(number, steps, step_s), folder), f"other pixels of {number}"
                assert tab.ended[id], f"the client did not hear of {number}"
            jobs = [job for state in ("succeeded",) for job in _all(store, state)]
            ends = Counter(event.data["state"] for job in jobs for event in store.events(job.id)
                           if event.kind == "state")  # fmt: skip
        assert len(jobs) == prompts and ends["succeeded"] == prompts and ends["failed"] == 0
        attempts = sum(job.attempts for job in jobs)
        return {"prompts": prompts, "seconds": round(took_s, 1), "kills": dict(done), "attempts": attempts,
                "connections": sum(tab.connections for tab in tabs)}  # fmt: skip
    finally:
        stop.set()
        server.stop()
        for thread in threads:
            thread.join(5)


def _all(store: Any, state: str) -> list[Any]:
    found: list[Any] = []
    while page := store.list([state], limit=500, before=found[-1].id if found else None):
        found += page
    return found


def fill(store: Any, count: int) -> None:
    """Insert finished workflows, as rows."""
    result = json.dumps({
        "media": "sha256:" + "0" * 64, "files": [],
        "outputs": {"28": {"images": [{"filename": "ComfyUI_00001_.mp4", "subfolder": "video", "type": "output"}],
                           "animated": [True]}},
    })  # fmt: skip
    body = json.dumps({"prompt": {"1": {"class_type": "x", "inputs": {"text": "y" * 8000}}}})
    with store.database.work() as do:
        now = store.database.now(do)
        for number in range(count):
            id = f"{int(now * 1000) - count + number:011x}{number:010x}"
            do("INSERT INTO kinema_jobs (id, kind, body, name, digest, state, place, created_at, started_at, ended_at, "
               "result) VALUES (:id, 'workflow', :body, '', '', 'succeeded', :place, :at, :at, :at, :result)",
               id=id, body=body, place=number, at=now - 3600 - count + number, result=result)  # fmt: skip
            do("INSERT INTO kinema_prompts (id, job, client, number, workflow) VALUES (:prompt, :id, 'c', :number, '')",
               prompt=str(uuid.uuid4()), id=id, number=number)  # fmt: skip


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def listing(folder: Path, count: int = 5000, requests: int = 300) -> dict[str, float]:
    """Milliseconds of GET /api/jobs as the interface asks, from the client's side: the median and the 95th percentile
    by query."""
    import comfy_stand_in

    from kinema.jobs.store import JobStore

    url = f"sqlite:///{folder / 'jobs.sqlite'}"
    with JobStore.open(url, kinds=comfy_stand_in.KINDS) as store:
        fill(store, count)
    server = LoadServer(url, folder / "home", workers=0)
    found: dict[str, float] = {}
    try:
        for query in ("status=completed,failed,cancelled&limit=64&offset=0", "status=in_progress,pending&limit=200",
                      "limit=200&offset=2000", "status=completed&sort_by=execution_duration&limit=64"):  # fmt: skip
            took: list[float] = []
            for _ in range(requests):
                began = time.perf_counter()
                server.ask(f"/api/jobs?{query}")
                took.append((time.perf_counter() - began) * 1000)
            found[f"{query} p50"] = round(percentile(took, 0.5), 1)
            found[f"{query} p95"] = round(percentile(took, 0.95), 1)
    finally:
        server.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--listing", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.listing:
            found: dict[str, Any] = listing(Path(folder))
        else:
            found = load(Path(folder), prompts=asked.prompts, clients=asked.clients, kills=asked.kills, seed=asked.seed)
    for name, value in found.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
