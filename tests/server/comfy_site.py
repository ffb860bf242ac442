"""ComfyUI's API over real sockets: a server and a worker in threads, and a client as ComfyUI's examples are."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

from websockets.sync.client import ClientConnection, connect

from kinema.http.connection_limits import FOR_JOBS, ConnectionLimits
from kinema.http.listening import listen
from kinema.http.serving import server
from kinema.jobs.attempts import Worker
from kinema.jobs.pool import EnginePool
from kinema.jobs.store import JobStore
from kinema.server.app import server_app
from kinema.server.settings import ServerSettings


class ComfyClient:
    """address: host:port. id: the clientId."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address, self.id, self.token = address, uuid.uuid4().hex, token

    def ask(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
        """The status and the JSON (or the bytes) of a response. A body is sent as urllib does, not named JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"http://{self.address}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        with contextlib.suppress(ValueError):
            return status, json.loads(content)
        return status, content

    def submit(self, prompt: dict, **more: Any) -> str:
        status, said = self.ask("/prompt", {"prompt": prompt, "client_id": self.id, **more})
        assert status == 200, said
        return said["prompt_id"]

    def socket(self, **how: Any) -> ClientConnection:
        return connect(f"ws://{self.address}/ws?clientId={self.id}", max_size=2**24, **how)

    def wait(self, id: str, *, ended: bool = True, s: float = 20.0) -> dict:
        """The job, once it has ended, or else runs."""
        end = time.monotonic() + s
        while time.monotonic() < end:
            status, job = self.ask(f"/api/jobs/{id}")
            wanted = ("completed", "failed", "cancelled") if ended else ("in_progress",)
            if status == 200 and job["status"] in wanted:
                return job
            time.sleep(0.03)
        raise AssertionError(self.ask(f"/api/jobs/{id}"))

    def result(self, node: str, id: str) -> bytes:
        """The first file of a node."""
        found = self.ask(f"/history/{id}")[1][id]["outputs"][node]["images"][0]
        query = "&".join(f"{name}={value}" for name, value in found.items())
        return self.ask(f"/view?{query}")[1]


def until_end(socket: ClientConnection, id: str) -> list[Any]:
    """Messages up to the end of a workflow, as the websockets example waits for it; binary ones as they are."""
    found: list[Any] = []
    while True:
        text = socket.recv(timeout=120)
        found.append(json.loads(text) if isinstance(text, str) else text)
        if isinstance(text, str) and found[-1]["type"] == "executing":
            data = found[-1]["data"]
            if data["node"] is None and data["prompt_id"] == id:
                return found


@contextlib.contextmanager
def serving(store: JobStore, limits: ConnectionLimits = FOR_JOBS, **settings: Any):
    """host:port of a server over a store."""
    app = server_app(store, ServerSettings(**settings))
    sock = listen("127.0.0.1", 0)
    web = server(app, limits=limits)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not web.started:
        time.sleep(0.01)
    yield f"127.0.0.1:{sock.getsockname()[1]}"
    web.should_exit = web.force_exit = True
    thread.join(20)


@contextlib.contextmanager
def working(store: JobStore, id: str = "w1"):
    """A worker in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=Worker(store, id, EnginePool()).run, args=(stop,), daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(20)
