"""Clips from another Kinema over HTTP: `kinema:http://HOST:PORT/MODEL`, where `kinema worker --listen` runs.

What comes back is from elsewhere: answers are read within bounds (http_client.py), and a clip is fetched with a time
limit and a size limit and decoded like any other. One that cannot be reached is asked again until the clip's time is
over, and an order that was lost with its bench is given again: a bench that is away for a while costs no shot. One that
stays away or has no room is `Down`, and after some failures in a row it is left alone for a while (breaker.py). One
that says what is wrong with the shot fails the shot.
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
from ..config import secret
from ..http_client import Answer, Unreachable, ask, download
from ..writing.breaker import Breaker
from .elsewhere import MAX_BYTES, accept, attempt
from .job import Down, Late, ShotOrder

KINEMA, WHAT = "kinema:", "Another Kinema"
ANSWER_S, POLL_S = 30.0, (0.2, 2.0)
AWAY_S = 60.0
"""So long a bench that answered before may be away, at most."""
MAX_JSON_BYTES = 100_000
WANTED = ("prompt", "negative_prompt", "seconds", "seed", "profile", "width", "height")
STATES = ("waiting", "drawing", "done", "failed")


class RemoteMaker:
    """model: `kinema:http://HOST:PORT/MODEL`. breaker and sleep are seams for tests."""

    def __init__(self, model: str, breaker: Breaker | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.base, self.model = _address(model)
        self.breaker = breaker if breaker is not None else Breaker(pause_s=30.0)
        self._sleep = sleep

    def check(self, job: ShotOrder) -> None:
        """One that cannot be reached now may be there later; one that does not draw this model is refused."""
        with contextlib.suppress(Down, Unreachable):
            told = self._json(self._asked(job, "GET", "/")).get("models")
            models: list[Any] = of_kind(told, f"{self.base}: its models", list)
            if self.model not in models:
                legal = ", ".join(for_terminal(each, 100) for each in models[:50] if isinstance(each, str))
                raise RequestError(
                    f"{self.base} does not draw {self.model!r}.", field="making.model", value=self.model, legal=legal
                )

    def make(self, job: ShotOrder, target: Path) -> None:
        attempt(self.breaker, self._sleep, lambda folder: self._fetch(job, folder / "clip.mp4", target))

    def _fetch(self, job: ShotOrder, beside: Path, target: Path) -> None:
        limit_s = float(job.space["timeout_s"])
        order = {name: getattr(job, name) for name in WANTED} | {"model": self.model}
        # Another wish under the same name would be another order; so the name says what is wished for.
        digest = hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()[:12]
        name = f"{job.id[:180]}-{digest}"
        end = time.monotonic() + limit_s
        self._wait(job, name, order | {"id": name}, end, limit_s)
        url, left_s = f"{self.base}/clips/{name}.mp4", max(end - time.monotonic(), ANSWER_S)
        headers = self._headers(job)
        status = download(url, beside, max_bytes=MAX_BYTES, headers=headers, limit_s=left_s, what=WHAT)
        if status != 200:
            raise Down(f"{self.base}: the clip is gone ({status}).")
        accept(beside, target, self.base)
        with contextlib.suppress(KinemaError):
            self._asked(job, "DELETE", f"/clips/{name}")

    def _wait(self, job: ShotOrder, name: str, order: dict[str, Any], end: float, limit_s: float) -> None:
        """Until the order is done. KinemaError, Down, Late."""
        said, pause_s = self._said(self._asked(job, "POST", "/clips", order)), POLL_S[0]
        heard = time.monotonic()
        while said["state"] in ("waiting", "drawing"):
            if time.monotonic() > end:
                late = f"{self.base}: no clip within {limit_s:g} s"
                raise Late(f"{late}.") if said["state"] == "drawing" else Down(f"{late}; it is still in line.")
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, POLL_S[1])
            try:
                answer = self._asked(job, "GET", f"/clips/{name}", lost=True)
                said = self._said(answer if answer.status != 404 else self._asked(job, "POST", "/clips", order))
                heard = time.monotonic()
            except (Down, Unreachable):
                if time.monotonic() > min(end, heard + AWAY_S):
                    raise
        if said["state"] != "done":
            error = said.get("error")
            why = for_terminal(error if isinstance(error, str) and error else "failed without a reason", 300)
            raise (Down if said.get("again") is True else KinemaError)(f"{self.base}: {why}")

    def _said(self, answer: Answer) -> dict[str, Any]:
        """How an order is."""
        said = self._json(answer)
        if said.get("state") not in STATES:
            raise KinemaError(f"{self.base} answers as no Kinema does: {answer.text}")
        return said

    def _json(self, answer: Answer) -> dict[str, Any]:
        found: dict[str, Any] = answer.json(f"{self.base} answers as no Kinema does", dict)
        return found

    def _asked(self, job: ShotOrder, verb: str, path: str, body: Any = None, lost: bool = False) -> Answer:
        """The answer; with `lost`, also one that knows of no such clip. KinemaError, Down, Unreachable."""
        answer = ask(verb, self.base + path, body=body, headers=self._headers(job), limit_s=ANSWER_S,
                     max_bytes=MAX_JSON_BYTES, what=WHAT)  # fmt: skip
        code = answer.status
        if code >= 500 or code in (408, 425, 429):
            raise Down(f"{self.base} answers {code}: {answer.text}")
        if code >= 300 and not (lost and code == 404):
            raise KinemaError(f"{self.base} refuses ({code}): {answer.text}")
        return answer

    @staticmethod
    def _headers(job: ShotOrder) -> dict[str, str]:
        key = secret(job.space.get("key_env"))
        return {"authorization": f"Bearer {key}"} if key else {}


def _address(model: str) -> tuple[str, str]:
    """(where, which model). RequestError."""
    name = ""
    with contextlib.suppress(ValueError):
        parts = urlsplit(model.removeprefix(KINEMA))
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc:
            name = unquote(parts.path.strip("/"))
    if not name:
        raise RequestError(
            f"making.model = {model!r} is no address of a model.", field="making.model", value=model,
            legal="kinema:http://HOST:PORT/MODEL",
        )  # fmt: skip
    return f"{parts.scheme}://{parts.netloc}", name
