"""A server with the answers of `kinema serve`, in this process: it plans for real and finishes jobs with a given file.

Its faults are fields: what it refuses, when it hangs up, how a job ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kinema
from kinema.core.errors import RequestError
from kinema.core.overall import ProgressState

ENDED = ("succeeded", "failed", "canceled", "expired")


class FakeServer:
    """result: the file that jobs end with, and its manifest. token: required if set. asked: (verb, path) of each
    request; heard: its Authorization. hang_up_after: events after which each stream breaks, once per
    entry. dies_after: events after which the server stops. keeps_quiet_s: before the answer to
    the first submission. ends: the end of the jobs."""

    def __init__(
        self, result: bytes = b"", manifest: dict[str, Any] | None = None, *, token: str | None = None
    ) -> None:
        self.result, self.manifest, self.token = result, manifest, token
        self.version, self.ready = kinema.__version__, True
        self.asked: list[tuple[str, str]] = []
        self.heard: list[str] = []
        self.bodies: list[Any] = []
        self.media: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self.keys: dict[str, str] = {}
        self.hang_up_after: list[int] = []
        self.dies_after: int | None = None
        self.ends: dict[str, Any] = {"state": "succeeded"}
        self.runs = True
        self.keeps_quiet_s = 0.0
        self.canceled = threading.Event()
        self.port = 0
        self.server: ThreadingHTTPServer | None = None

    def start(self) -> FakeServer:
        fake = self

        class Handler(_Handler):
            home = fake

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def announce(self, home: Path, pid: int | None = None) -> None:
        """Write the file by which commands on this machine find it."""
        (home / "server").mkdir(parents=True, exist_ok=True)
        noted = {"url": self.url, "pid": pid or os.getpid(), "version": self.version, "token": self.token}
        (home / "server" / "server.json").write_text(json.dumps(noted))

    def submit(self, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        if key in self.keys:
            return self.jobs[self.keys[key]]
        id = f"job{len(self.jobs) + 1}"
        if key is not None:
            self.keys[key] = id
        self.jobs[id] = {
            "id": id, "kind": body["kind"], "body": body["body"], "name": body.get("name", ""), "state": "queued",
            "paused": False, "priority": body.get("priority", 0), "position": 0, "created_at": time.time(),
            "started_at": None, "ended_at": None, "attempts": 0, "failures": [], "reason": "", "progress": None,
            "result": None, "worker": None,
        }  # fmt: skip
        self.events[id] = [("state", {"state": "queued"})]
        if self.runs:
            states = [ProgressState("sample", 0.1, 2.0, 1, 2), ProgressState("sample", 0.5, 1.0, 1, 2, done=1, total=2),
                      ProgressState("decode", 0.9, 0.5, 2, 2)]  # fmt: skip
            self.events[id] += [("state", {"state": "running"}), *(("progress", each.to_dict()) for each in states)]
            self.end(id, **self.ends)
        return self.jobs[id]

    def end(self, id: str, **fields: Any) -> None:
        if fields["state"] == "succeeded":
            sha = hashlib.sha256(self.result).hexdigest()
            fields["result"] = {"media": f"sha256:{sha}", "bytes": len(self.result), "media_type": "video/mp4",
                                "name": "clip.mp4", "device": "cpu", "sidecar": self._sidecar()}  # fmt: skip
        self.jobs[id] |= {"position": None, **fields}
        self.events[id].append(("state", fields))

    def _sidecar(self) -> str:
        data = json.dumps(self.manifest).encode()
        self.media[sha := hashlib.sha256(data).hexdigest()] = data
        return f"sha256:{sha}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    home: FakeServer

    def log_message(self, *_arguments: object) -> None:
        pass

    def _serve(self) -> None:
        home = self.home
        parts = urlsplit(self.path)
        home.asked.append((self.command, parts.path))
        data = self._body()
        home.heard.append(self.headers.get("authorization", ""))
        if parts.path != "/healthz" and home.token and self.headers.get("authorization") != f"Bearer {home.token}":
            self._answer(401, {"error": "A token is required."})
            return
        words = parts.path.strip("/").split("/")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._route(words, parse_qs(parts.query), data)

    do_GET = do_POST = do_HEAD = do_DELETE = _serve

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _route(self, words: list[str], query: dict[str, list[str]], data: bytes) -> None:
        home = self.home
        if words == ["healthz"]:
            return self._answer(200, {"kinema": "server", "version": home.version, "pid": os.getpid()})
        if words == ["readyz"]:
            return self._answer(200 if home.ready else 503, {} if home.ready else {"error": "No worker."})
        if words[0] == "media":
            return self._media(words, data)
        if words == ["plan"]:
            return self._plan(json.loads(data))
        if words == ["jobs"] and self.command == "POST":
            home.bodies.append(json.loads(data))
            submitted = home.submit(home.bodies[-1], self.headers.get("idempotency-key"))
            if len(home.bodies) == 1:
                time.sleep(home.keeps_quiet_s)
            return self._answer(201, submitted)
        if words == ["jobs"]:
            found = [
                each for each in reversed(home.jobs.values()) if query.get("state", [each["state"]])[0] == each["state"]
            ]
            return self._answer(200, {"jobs": found, "next": None})
        if (job := home.jobs.get(words[1])) is None:
            return self._answer(404, {"error": f"No job {words[1]}."})
        if self.command == "DELETE":
            del home.jobs[words[1]]
            return self._answer(204, None)
        if words[2:] == ["events"]:
            return self._events(words[1], int(query.get("after", ["0"])[0]))
        if words[2:] == ["result"]:
            if job["state"] != "succeeded":
                return self._answer(409, {"error": f"The job is {job['state']}."})
            return self._answer(200, home.result)
        if self.command == "POST":
            return self._act(job, words[2], json.loads(data or b"{}"))
        return self._answer(200, job)

    def _act(self, job: dict[str, Any], action: str, body: dict[str, Any]) -> None:
        home = self.home
        if action == "cancel":
            home.end(job["id"], state="canceled", reason="It was canceled.")
            home.canceled.set()
        elif action == "retry":
            job |= {"state": "queued"}
        elif action in ("pause", "resume"):
            job |= {"paused": action == "pause"}
        elif action == "move":
            job |= {"moved": body}
        self._answer(200, job)

    def _media(self, words: list[str], data: bytes) -> None:
        if self.command == "POST":
            sha = hashlib.sha256(data).hexdigest()
            if sha != self.headers.get("x-kinema-sha256", sha):
                return self._answer(400, {"error": "Another SHA-256."})
            self.home.media[sha] = data
            return self._answer(201, {"media": f"sha256:{sha}", "bytes": len(data), "media_type": "image/png"})
        found = self.home.media.get(words[1])
        return self._answer(404, {"error": "No such media."}) if found is None else self._answer(200, found)

    def _plan(self, body: dict[str, Any]) -> None:
        body.pop("shown_as", None)
        try:
            media = [each["image"] for each in body.get("conditions", ()) if "image" in each]
            if unknown := [each for each in media if each.removeprefix("sha256:") not in self.home.media]:
                raise RequestError(f"{unknown[0]}: not uploaded.", field="conditions")
            folder = Path(os.environ["KINEMA_HOME"]) / "fake_media"
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(body)
            for each in media:
                path = folder / each.removeprefix("sha256:")
                path.write_bytes(self.home.media[path.name])
                text = text.replace(each, str(path))
            found = kinema.plan(kinema.Request.from_json(text)).model_dump_json()
            self._answer(200, json.loads(found.replace(f"{folder}/", "sha256:")))
        except RequestError as error:
            self._answer(422, {"error": error.message, "field": error.field, "legal": error.legal})

    def _events(self, id: str, after: int) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._chunk(b"retry: 1000\n\n: hello\n\n")
        most = self.home.hang_up_after.pop(0) if self.home.hang_up_after else None
        for _ in range(400):
            for kind, data in self.home.events[id][after:]:
                if self.home.dies_after == after:
                    (Path(os.environ["KINEMA_HOME"]) / "server" / "server.json").unlink()
                    self.home.stop()
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if most is not None and after >= most:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                after += 1
                self._chunk(f"id: {after}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode())
                if kind == "state" and data["state"] in ENDED:
                    self._chunk(b"")
                    return
            time.sleep(0.02)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _answer(self, status: int, value: Any) -> None:
        data = value if isinstance(value, bytes) else b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        if status != 204:
            self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextlib.contextmanager
def serving(server: FakeServer) -> Iterator[FakeServer]:
    server.start()
    try:
        yield server
    finally:
        server.stop()
