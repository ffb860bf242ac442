"""The routes that the home page uses, with jobs that only pretend to work: quick, and able to stop, fail and vanish on
request. Plans are the real ones."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from kinema.core.chunk import Chunk
from kinema.core.errors import KinemaError, RequestError
from kinema.core.request import Request
from kinema.engine.plan import plan
from kinema.http.guard import Guard
from kinema.http.page_files import PageFiles
from kinema.http.serving import server
from kinema.media.write import write
from kinema.weights import store

ENDED = ("succeeded", "failed", "canceled", "expired")


def moving_square(num: int = 16, size: int = 96, shift: int = 0) -> np.ndarray:
    """A red square that moves over a field with a ball: uint8 (F, H, W, 3)."""
    frames = np.full((num, size, size * 4 // 3, 3), (214, 226, 205), np.uint8)
    frames[:, size * 2 // 3 :] = (120, 164, 110)
    for number, frame in enumerate(frames):
        left = 8 + shift + number * 4
        frame[size // 2 : size // 2 + 24, left : left + 24] = (204, 62, 44)
    return frames


class FakeServer:
    """step_s: seconds of one of `steps` steps; a job waits before step number `hold_at` until `go` is set. token:
    required if set. fails: the reason with which jobs fail."""

    def __init__(self, folder: Path, *, step_s: float = 0.05, steps: int = 8, token: str = "") -> None:
        self.folder, self.step_s, self.steps, self.token, self.fails = folder, step_s, steps, token, ""
        self.hold_at, self.go = 0, threading.Event()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.types: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.streams: list[tuple[str, int]] = []
        self.posted: list[dict[str, Any]] = []
        self.lock = threading.RLock()
        write([Chunk(moving_square(), 0, 8.0)], folder / "clip.mp4")
        self.clip = self.put((folder / "clip.mp4").read_bytes(), "video/mp4")
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.sock.getsockname()[1]}/"
        self.start()
        self.alive = True
        threading.Thread(target=self._work, daemon=True).start()

    def start(self) -> None:
        """Serve; again after `stop`, at the same address."""
        if self.sock.fileno() < 0:
            self.sock = socket.create_server(("127.0.0.1", int(self.url.rstrip("/").rpartition(":")[2])))
        self.server = server(Guard(Starlette(routes=self._routes())))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.sock]}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.sock.close()

    def close(self) -> None:
        self.alive = False
        self.stop()

    def put(self, data: bytes, media_type: str) -> str:
        sha = hashlib.sha256(data).hexdigest()
        if sha not in self.types:  # never while it is sent
            (self.folder / sha).write_bytes(data)
            self.types[sha] = media_type
        return f"sha256:{sha}"

    def submit(self, body: dict[str, Any], name: str = "", **fields: Any) -> dict[str, Any]:
        with self.lock:
            id = f"{time.time_ns():020x}"
            self.jobs[id] = {
                "id": id, "kind": "clip", "body": body, "name": name, "state": "queued", "paused": False,
                "priority": 0, "position": None, "created_at": time.time(), "started_at": None, "ended_at": None,
                "attempts": 0, "failures": [], "reason": "", "progress": None, "result": None, "worker": None, **fields,
            }  # fmt: skip
            self.events[id] = []
            return self.jobs[id]

    def succeed(self, job: dict[str, Any]) -> None:
        sha = self.clip.removeprefix("sha256:")
        result = {"media": self.clip, "bytes": (self.folder / sha).stat().st_size, "media_type": "video/mp4",
                  "name": job["body"].get("file", "clip.mp4"), "frames": 16, "width": 128, "height": 96}  # fmt: skip
        self._end(job, "succeeded", result=result)

    def _say(self, job: dict[str, Any], kind: str, data: dict[str, Any]) -> None:
        found = self.events[job["id"]]
        found.append({"job": job["id"], "number": len(found) + 1, "at": time.time(), "kind": kind, "data": data})

    def _set(self, job: dict[str, Any], state: str, **fields: Any) -> None:
        job.update(state=state, **fields)
        self._say(job, "state", {"state": state, "paused": job["paused"]})

    def _end(self, job: dict[str, Any], state: str, **fields: Any) -> None:
        self._set(job, state, ended_at=time.time(), **fields)

    def _work(self) -> None:
        while self.alive:
            time.sleep(0.02)
            with self.lock:
                waiting = [job for job in self.jobs.values() if job["state"] == "queued" and not job["paused"]]
                job = min(waiting, key=lambda each: (-each["priority"], each["id"]), default=None)
                if job is None:
                    continue
                self._set(job, "running", started_at=time.time(), attempts=job["attempts"] + 1)
            self._run(job)

    def _run(self, job: dict[str, Any]) -> None:
        for step in range(1, self.steps + 1):
            time.sleep(self.step_s)
            if step == self.hold_at:
                self.go.wait(60)
            with self.lock:
                if job["state"] == "canceling":
                    self._end(job, "canceled", reason="canceled")
                    return
                job["progress"] = {"fraction": step / self.steps, "stage": "sampling", "step": step,
                                   "steps": self.steps, "seconds_left": (self.steps - step) * self.step_s}  # fmt: skip
                self._say(job, "progress", job["progress"])
                self._say(job, "preview", {"media": self._preview(step), "media_type": "image/png", "step": step})
        with self.lock:
            if self.fails:
                self._end(job, "failed", reason=self.fails, failures=[{"at": time.time(), "reason": self.fails}])
            else:
                self.succeed(job)

    def _preview(self, step: int) -> str:
        import cv2

        frame = cv2.GaussianBlur(moving_square()[step % 16], (0, 0), max(0.5, 8 - step))
        return self.put(cv2.imencode(".png", frame[..., ::-1])[1].tobytes(), "image/png")

    def _routes(self) -> list[Route]:
        one = "/jobs/{id}"
        return [
            *PageFiles(files("kinema.server").joinpath("page")).routes(),
            Route("/readyz", lambda _: JSONResponse({"ready": True, "workers": 1, "queued": 0})),
            Route("/jobs", self._guarded(self._submit), methods=["POST"]),
            Route("/jobs", self._guarded(self._list)),
            Route(one, self._guarded(self._get)),
            Route(one, self._guarded(self._delete), methods=["DELETE"]),
            Route(f"{one}/events", self._guarded(self._events)),
            Route(f"{one}/result", self._guarded(self._result)),
            Route(f"{one}/{{verb}}", self._guarded(self._act), methods=["POST"]),
            Route("/media", self._guarded(self._upload), methods=["POST"]),
            Route("/media/{sha}", self._guarded(self._media)),
            Route("/plan", self._guarded(self._plan), methods=["POST"]),
            Route("/models", self._guarded(self._models)),
        ]

    def _guarded(self, route: Any) -> Any:
        async def answer(request: HttpRequest) -> Response:
            if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
                return JSONResponse({"error": "A token is required."}, 401)
            try:
                return await route(request)
            except RequestError as error:
                value = {
                    "error": str(error),
                    "field": error.field,
                    "value": error.value,
                    "legal": error.legal,
                    "nearest": error.nearest,
                }
                return JSONResponse(json.loads(json.dumps(value, default=str)), 422)
            except KinemaError as error:
                return JSONResponse({"error": str(error)}, 422)
            except KeyError:
                return JSONResponse({"error": "No such job."}, 404)

        return answer

    async def _submit(self, request: HttpRequest) -> Response:
        given, key = await request.json(), request.headers.get("idempotency-key", "")
        if key in self.keys:  # the page, or the browser, sends it again if the connection broke before the answer
            return JSONResponse(self.jobs[self.keys[key]])
        self.posted.append(given)
        self._planned(given["body"])
        job = self.submit(given["body"], given.get("name", ""))
        if key:
            self.keys[key] = job["id"]
        return JSONResponse(job, 201)

    async def _list(self, request: HttpRequest) -> Response:
        limit, before = int(request.query_params.get("limit", 50)), request.query_params.get("before")
        with self.lock:
            waiting = sorted((each for each in self.jobs.values() if each["state"] == "queued"),
                             key=lambda each: (-each["priority"], each["id"]))  # fmt: skip
            for place, job in enumerate(waiting):
                job["position"] = place
            found = [self.jobs[id] for id in sorted(self.jobs, reverse=True) if before is None or id < before]
            more = found[limit - 1]["id"] if len(found) > limit else None
            return JSONResponse({"jobs": found[:limit], "next": more})

    async def _get(self, request: HttpRequest) -> Response:
        return JSONResponse(self.jobs[request.path_params["id"]])

    async def _delete(self, request: HttpRequest) -> Response:
        del self.jobs[request.path_params["id"]]
        return Response(status_code=204)

    async def _act(self, request: HttpRequest) -> Response:
        with self.lock:
            job, verb = self.jobs[request.path_params["id"]], request.path_params["verb"]
            if verb == "cancel" and job["state"] == "running":
                self._set(job, "canceling")
            elif verb == "cancel":
                self._end(job, "canceled", reason="canceled")
            elif verb == "retry":
                self._set(job, "queued", ended_at=None, reason="", progress=None)
            elif verb in ("pause", "resume"):
                job["paused"] = verb == "pause"
            elif verb == "move":
                job["priority"] = 1 + max(each["priority"] for each in self.jobs.values())
            return JSONResponse(job)

    async def _events(self, request: HttpRequest) -> Response:
        id, after = request.path_params["id"], int(request.headers.get("last-event-id", 0))
        self.streams.append((id, after))

        async def stream() -> Any:
            sent = after
            while self.alive and not self.server.should_exit:
                job = self.jobs[id]
                for event in self.events[id][sent:]:
                    sent = event["number"]
                    yield f"id: {sent}\nevent: {event['kind']}\ndata: {json.dumps(event['data'])}\n\n"
                if job["state"] in ENDED and sent == len(self.events[id]):
                    return
                yield ": beat\n\n"
                await asyncio.sleep(0.03)

        if self.jobs[id]["state"] in ENDED and after == len(self.events[id]):
            return Response(status_code=204)
        return StreamingResponse(stream(), media_type="text/event-stream")

    async def _result(self, request: HttpRequest) -> Response:
        result = self.jobs[request.path_params["id"]]["result"]
        return FileResponse(self.folder / result["media"].removeprefix("sha256:"), media_type=result["media_type"],
                            filename=result["name"], content_disposition_type="inline")  # fmt: skip

    async def _upload(self, request: HttpRequest) -> Response:
        data = await request.body()
        media_type = request.headers.get("content-type", "application/octet-stream")
        return JSONResponse({"media": self.put(data, media_type), "bytes": len(data), "media_type": media_type})

    async def _media(self, request: HttpRequest) -> Response:
        sha = request.path_params["sha"]
        return FileResponse(self.folder / sha, media_type=self.types[sha])

    async def _plan(self, request: HttpRequest) -> Response:
        return JSONResponse(self._planned(await request.json()))

    def _planned(self, body: dict[str, Any]) -> dict[str, Any]:
        """The real plan of a clip; edits are only checked, since their plan reads the clip, which takes seconds."""
        fields = {name: value for name, value in body.items() if name not in ("shown_as", "file")}
        text = json.dumps(fields)
        for sha in self.types:
            text = text.replace(f"sha256:{sha}", str(self.folder / sha))
        request = Request.from_json(text)
        if request.canvas == "source":
            return {"model": request.model, "frames": 16, "fps": 8.0, "canvas": "source", "output": [128, 96]}
        return plan(request).model_dump(mode="json")

    async def _models(self, request: HttpRequest) -> Response:
        cards = [card for card in store.known_cards() if store.here(card)]
        return JSONResponse({"models": [
            {"id": card.id, "title": card.title, "accepts": card.accepts, "needs": card.needs,
             "sizes": [f"{width}x{height}" for width, height in card.size.trained], "profiles": list(card.profiles)}
            for card in cards
        ]})  # fmt: skip
