"""Clips from another Kinema over HTTP: `kinema:http://HOST:PORT/MODEL`, a running `kinema serve`.

The maker sends the whole request of a shot as a job (http/jobs_client.py); the frames that a shot continues are
uploaded first. Responses are untrusted: they are read within time and size limits, and clips are decoded like any other
file. The job's idempotency key contains the shot and a hash of the request, so repeating it costs nothing: an
unreachable server is retried until the clip's time limit, and a short outage costs no shot. A longer outage is
`Unavailable`; after several consecutive failures, the circuit breaker pauses requests (breaker.py). A refused request
fails the shot.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ...core.conditions import Continue
from ...core.environ import secret
from ...core.errors import KinemaError, RequestError
from ...core.outside import for_terminal, of_kind
from ...http.client import Unreachable
from ...http.jobs_client import JobsServer, NoSuchJobThere, NotNow
from ...jobs.job import ENDED, STATES
from ..writing.breaker import Breaker
from .fetching import MAX_BYTES, accept, attempt
from .job import KNOWN_FRAMES, ClipTimeout, ShotOrder, Unavailable

KINEMA = "kinema:"
ANSWER_S, POLL_S = 30.0, (0.2, 2.0)
AWAY_S = 60.0
"""Maximum outage of a server that has accepted a job."""


class RemoteMaker:
    """model: `kinema:http://HOST:PORT/MODEL`. breaker, sleep: replaceable in tests."""

    def __init__(self, model: str, breaker: Breaker | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.base, self.model = _address(model)
        self.breaker = breaker if breaker is not None else Breaker(pause_s=30.0)
        self._sleep = sleep
        self._accepts: list[Any] | None = None

    def check(self, job: ShotOrder) -> None:
        """RequestError if the server does not serve the model. A server that is unreachable now passes."""
        with contextlib.suppress(Unavailable, Unreachable):
            self._learn(self._server(job))

    def continues(self) -> bool:
        """Whether the model can continue a clip; True until the server has been asked, which refuses it if not."""
        return self._accepts is None or "continue" in self._accepts

    def make(self, job: ShotOrder, target: Path) -> None:
        attempt(job, self.breaker, self._sleep, lambda folder: self._fetch(job, folder, target))

    def _fetch(self, job: ShotOrder, folder: Path, target: Path) -> None:
        server = self._server(job)
        body = self._body(job, server)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
        limit_s = float(job.space["timeout_s"])
        end = time.monotonic() + limit_s
        id, result = self._wait(server, body, f"{job.id[:150]}-{digest}", job, end, limit_s)
        if of_kind(result.get("bytes"), f"{self.base}: the clip's bytes", int) > MAX_BYTES:
            raise KinemaError(f"{self.base} sends more than {MAX_BYTES:,} bytes.")
        fetched = folder / "clip.mp4"
        left_s = max(end - time.monotonic(), ANSWER_S)
        _asked(lambda: server.save_result(id, result, fetched, limit_s=left_s))
        if job.tail or job.keeps:
            fetched = _own_part(fetched, folder / "part.mp4", KNOWN_FRAMES if job.tail else 0, job.keeps)
        accept(fetched, target, self.base)
        with contextlib.suppress(KinemaError):
            server.delete(id)

    def _body(self, job: ShotOrder, server: JobsServer) -> dict[str, Any]:
        """The request of a shot, its context frames uploaded. RequestError: the model cannot continue a clip."""
        request = job.request().changed(model=self.model)
        body: dict[str, Any] = json.loads(request.to_json()) | {"file": "clip.mp4", "quality": "best"}
        if any(isinstance(condition, Continue) for condition in request.conditions):
            from ...conditions.inputs import digest

            self._learn(server)
            if not self.continues():
                raise RequestError(f"{self.model} of {self.base} cannot continue a clip.", field="making.model")
            sha = digest(job.tail)
            if not _asked(lambda: server.has_media(sha)):
                _asked(lambda: server.upload(Path(job.tail), sha, "image/webp", limit_s=ANSWER_S))
            for condition in body["conditions"]:
                if condition["kind"] == "continue":
                    condition["clip"] = f"sha256:{sha}"
        return body

    def _wait(
        self, server: JobsServer, body: dict[str, Any], key: str, order: ShotOrder, end: float, limit_s: float
    ) -> tuple[str, dict[str, Any]]:  # fmt: skip
        """Submit the job and wait for its end; return its id and its result. KinemaError, Unavailable, ClipTimeout."""
        pause_s = POLL_S[0]

        def submit() -> dict[str, Any]:
            return self._state(_asked(lambda: server.submit("clip", body, key=key, name=order.id[:200])))

        job = submit()
        if job["state"] in ENDED and job["state"] != "succeeded":  # of an earlier attempt
            job = self._state(_asked(lambda: server.act(job["id"], "retry")))
        heard = time.monotonic()
        while job["state"] not in ENDED:
            if time.monotonic() > end:
                self._give_up(server, job, limit_s)
            order.check()
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, POLL_S[1])
            try:
                try:
                    job = self._state(_asked(partial(server.job, job["id"])))
                except NoSuchJobThere:
                    job = submit()
                heard = time.monotonic()
            except (Unavailable, Unreachable):
                if time.monotonic() > min(end, heard + AWAY_S):
                    raise
        if job["state"] != "succeeded":
            why = for_terminal(str(job.get("reason") or f"the job is {job['state']}"), 300)
            raise (Unavailable if job["state"] == "expired" else KinemaError)(f"{self.base}: {why}")
        return job["id"], of_kind(job.get("result"), f"{self.base}: the result", dict)

    def _give_up(self, server: JobsServer, job: dict[str, Any], limit_s: float) -> None:
        """Cancel a job that is late. Raises ClipTimeout, or Unavailable for one that has not begun."""
        with contextlib.suppress(KinemaError):
            server.act(job["id"], "cancel", limit_s=1.0)
        late = f"{self.base}: no clip within {limit_s:g} s"
        if job["state"] == "queued":
            raise Unavailable(f"{late}; it is still queued.")
        raise ClipTimeout(f"{late}.")

    def _learn(self, server: JobsServer) -> None:
        """Ask what the model accepts. RequestError if the server does not serve it."""
        models: list[Any] = _asked(server.models)
        for each in models:
            if isinstance(each, dict) and each.get("id") == self.model:
                self._accepts = of_kind(each.get("accepts"), f"{self.base}: what {self.model} accepts", list)
                return
        names = [each["id"] for each in models if isinstance(each, dict) and isinstance(each.get("id"), str)]
        raise RequestError(
            f"{self.base} does not serve {self.model!r}.", field="making.model", value=self.model,
            legal=", ".join(for_terminal(name, 100) for name in names[:50]),
        )  # fmt: skip

    def _state(self, job: Any) -> dict[str, Any]:
        """A job in a response, its id and state checked."""
        if not isinstance(job, dict) or job.get("state") not in STATES or not isinstance(job.get("id"), str):
            raise KinemaError(f"{self.base} is not a server of Kinema: {for_terminal(str(job), 100)}")
        return job

    def _server(self, job: ShotOrder) -> JobsServer:
        return JobsServer(self.base, secret(job.space.get("key_env")) or None, answer_s=ANSWER_S)


def _asked(ask: Callable[[], Any]) -> Any:
    """Ask the server. Unavailable: it is overloaded, or fails by itself."""
    try:
        return ask()
    except NotNow as error:
        raise Unavailable(str(error)) from None


def _own_part(clip: Path, target: Path, start: int, whole_seconds: bool) -> Path:
    """Write the frames of a clip that are not those of the clip before it; see KinemaMaker.write."""
    from ...media.read import probe, read_chunks
    from ...media.write import write
    from .seam import in_whole_seconds, part

    info = probe(clip)
    new = info.num_frames - start
    kept = in_whole_seconds(new, info.fps) if whole_seconds else new
    if kept == info.num_frames:
        return clip
    return write(part(read_chunks(clip, audio=False), start, start + kept), target, quality="best")


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
