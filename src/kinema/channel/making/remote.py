"""Clips from another Kinema over HTTP: `kinema:http://HOST:PORT/MODEL`, a running `kinema worker --listen`.

Responses are untrusted: they are read within time and size limits (http/client.py), and clips are decoded like any
other file. An unreachable worker is retried until the clip's time limit, and a lost order is sent again, so a short
outage costs no shot. A longer outage or a full queue is `Unavailable`; after several consecutive failures, the circuit
breaker pauses requests (breaker.py). An error about the order itself fails the shot.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ...core.errors import KinemaError, RequestError
from ...core.outside import for_terminal, of_kind
from ...http.client import HttpResponse, Unreachable, download, send_request
from ..config import secret
from ..writing.breaker import Breaker
from .fetching import MAX_BYTES, accept, attempt
from .job import ClipTimeout, ShotOrder, Unavailable

KINEMA, CALLER = "kinema:", "Another Kinema"
ANSWER_S, POLL_S = 30.0, (0.2, 2.0)
AWAY_S = 60.0
"""Maximum outage of a worker that has accepted an order."""
MAX_JSON_BYTES = 100_000
WANTED = ("prompt", "negative_prompt", "seconds", "seed", "profile", "width", "height")
STATES = ("waiting", "drawing", "done", "failed")


class RemoteMaker:
    """model: `kinema:http://HOST:PORT/MODEL`. breaker, sleep: replaceable in tests."""

    def __init__(self, model: str, breaker: Breaker | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.base, self.model = _address(model)
        self.breaker = breaker if breaker is not None else Breaker(pause_s=30.0)
        self._sleep = sleep

    def check(self, job: ShotOrder) -> None:
        """RequestError if the worker does not serve the model. A worker that is unreachable now passes."""
        with contextlib.suppress(Unavailable, Unreachable):
            listed = self._json(self._send(job, "GET", "/")).get("models")
            models: list[Any] = of_kind(listed, f"{self.base}: its models", list)
            if self.model not in models:
                legal = ", ".join(for_terminal(each, 100) for each in models[:50] if isinstance(each, str))
                raise RequestError(
                    f"{self.base} does not serve {self.model!r}.", field="making.model", value=self.model, legal=legal
                )

    def make(self, job: ShotOrder, target: Path) -> None:
        attempt(self.breaker, self._sleep, lambda folder: self._fetch(job, folder / "clip.mp4", target))

    def _fetch(self, job: ShotOrder, fetched: Path, target: Path) -> None:
        limit_s = float(job.space["timeout_s"])
        order = {name: getattr(job, name) for name in WANTED} | {"model": self.model}
        # A different order must not have the same name; so the name contains a hash of the order.
        digest = hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()[:12]
        name = f"{job.id[:180]}-{digest}"
        end = time.monotonic() + limit_s
        self._wait(job, name, order | {"id": name}, end, limit_s)
        url, left_s = f"{self.base}/clips/{name}.mp4", max(end - time.monotonic(), ANSWER_S)
        headers = self._headers(job)
        status = download(url, fetched, max_bytes=MAX_BYTES, headers=headers, limit_s=left_s, caller=CALLER)
        if status != 200:
            raise Unavailable(f"{self.base}: fetching the clip failed ({status}).")
        accept(fetched, target, self.base)
        with contextlib.suppress(KinemaError):
            self._send(job, "DELETE", f"/clips/{name}")

    def _wait(self, job: ShotOrder, name: str, order: dict[str, Any], end: float, limit_s: float) -> None:
        """Send an order and wait until it is done. KinemaError, Unavailable, ClipTimeout."""
        state, pause_s = self._state(self._send(job, "POST", "/clips", order)), POLL_S[0]
        heard = time.monotonic()
        while state["state"] in ("waiting", "drawing"):
            if time.monotonic() > end:
                late = f"{self.base}: no clip within {limit_s:g} s"
                if state["state"] == "drawing":
                    raise ClipTimeout(f"{late}.")
                raise Unavailable(f"{late}; it is still queued.")
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, POLL_S[1])
            try:
                response = self._send(job, "GET", f"/clips/{name}", lost=True)
                state = self._state(response if response.status != 404 else self._send(job, "POST", "/clips", order))
                heard = time.monotonic()
            except (Unavailable, Unreachable):
                if time.monotonic() > min(end, heard + AWAY_S):
                    raise
        if state["state"] != "done":
            error = state.get("error")
            why = for_terminal(error if isinstance(error, str) and error else "failed without a reason", 300)
            raise (Unavailable if state.get("again") is True else KinemaError)(f"{self.base}: {why}")

    def _state(self, response: HttpResponse) -> dict[str, Any]:
        """The state of an order in a response."""
        state = self._json(response)
        if state.get("state") not in STATES:
            raise KinemaError(f"{self.base} is not a Kinema worker: {response.text}")
        return state

    def _json(self, response: HttpResponse) -> dict[str, Any]:
        data: dict[str, Any] = response.json(f"{self.base} is not a Kinema worker", dict)
        return data

    def _send(self, job: ShotOrder, verb: str, path: str, body: Any = None, lost: bool = False) -> HttpResponse:
        """Send a request and return the response; `lost` accepts a 404. KinemaError, Unavailable, Unreachable."""
        response = send_request(verb, self.base + path, body=body, headers=self._headers(job), limit_s=ANSWER_S,
                     max_bytes=MAX_JSON_BYTES, caller=CALLER)  # fmt: skip
        code = response.status
        if code >= 500 or code in (408, 425, 429):
            raise Unavailable(f"{self.base} responded {code}: {response.text}")
        if code >= 300 and not (lost and code == 404):
            raise KinemaError(f"{self.base} refused the request ({code}): {response.text}")
        return response

    @staticmethod
    def _headers(job: ShotOrder) -> dict[str, str]:
        key = secret(job.space.get("key_env"))
        return {"authorization": f"Bearer {key}"} if key else {}


def _address(model: str) -> tuple[str, str]:
    """(base address, model name). RequestError."""
    name = ""
    with contextlib.suppress(ValueError):
        parts = urlsplit(model.removeprefix(KINEMA))
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc:
            name = unquote(parts.path.strip("/"))
    if not name:
        raise RequestError(
            f"making.model = {model!r} is not the address of a model.", field="making.model", value=model,
            legal="kinema:http://HOST:PORT/MODEL",
        )  # fmt: skip
    return f"{parts.scheme}://{parts.netloc}", name
