"""Clips from another Kinema over HTTP: `kinema:http://HOST:PORT/MODEL`, where `kinema worker --listen` runs.

What comes back is a file from elsewhere: it is fetched with a time limit and a size limit and decoded like any other
clip. One that cannot be reached, has no room or takes too long is `Down`, and after some failures in a row it is left
alone for a while (breaker.py). One that says what is wrong with the shot fails the shot. An order that was lost with
its bench is given again.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ...core.errors import KinemaError, RequestError
from ..config import secret
from ..writing.breaker import Breaker
from ..writing.chat import http_library
from .elsewhere import MAX_BYTES, attempt
from .makers import Down, Job

KINEMA = "kinema:"
CONNECT_S, ANSWER_S, POLL_S = 10.0, 30.0, (0.2, 2.0)
WANTED = ("id", "prompt", "negative_prompt", "seconds", "seed", "profile", "width", "height")


class RemoteMaker:
    """model: `kinema:http://HOST:PORT/MODEL`. breaker and sleep are seams for tests."""

    def __init__(self, model: str, breaker: Breaker | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.base, self.model = _address(model)
        self.breaker = breaker if breaker is not None else Breaker(pause_s=30.0)
        self._sleep = sleep

    def check(self, job: Job) -> None:
        """One that cannot be reached now may be there later; one that does not draw this model is refused."""
        with contextlib.suppress(Down), self._client(job) as http:
            answer = self._asked(http, "GET", "/")
            try:
                models = answer.json()["models"]
            except (ValueError, KeyError, TypeError):
                raise KinemaError(f"{self.base} answers as no Kinema does: {answer.text[:100]!r}.") from None
            if self.model not in models:
                raise RequestError(
                    f"{self.base} does not draw {self.model!r}.", field="making.model", value=self.model,
                    legal=", ".join(map(str, models)),
                )  # fmt: skip

    def make(self, job: Job, target: Path) -> None:
        def fetch(folder: Path) -> None:
            with self._client(job) as http:
                self._fetch(http, job, folder / "clip.mp4", target)

        attempt(self.breaker, self._sleep, fetch)

    def _fetch(self, http: Any, job: Job, beside: Path, target: Path) -> None:
        from ...media.read import probe

        limit_s = float(job.space["timeout_s"])
        end, pause_s = time.monotonic() + limit_s, POLL_S[0]
        order = {name: getattr(job, name) for name in WANTED} | {"model": self.model}
        said = self._said(self._asked(http, "POST", "/clips", json=order))
        while said["state"] in ("waiting", "drawing"):
            if time.monotonic() > end:
                raise Down(f"{self.base}: no clip within {limit_s:g} s.")
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, POLL_S[1])
            answer = self._asked(http, "GET", f"/clips/{job.id}", lost=True)
            said = self._said(answer if answer.status_code != 404 else self._asked(http, "POST", "/clips", json=order))
        if said["state"] != "done":
            raise (Down if said.get("again") else KinemaError)(f"{self.base}: {str(said.get('error', said))[:300]}")
        self._download(http, f"/clips/{job.id}.mp4", beside, end)
        probe(beside)
        shutil.copyfile(beside, target)
        with contextlib.suppress(KinemaError):
            self._asked(http, "DELETE", f"/clips/{job.id}")

    def _download(self, http: Any, path: str, beside: Path, end: float) -> None:
        httpx, size = http_library("Another Kinema"), 0
        try:
            with http.stream("GET", self.base + path) as answer, beside.open("wb") as file:
                if answer.status_code != 200:
                    raise Down(f"{self.base}: the clip is gone ({answer.status_code}).")
                for part in answer.iter_bytes():
                    size += len(part)
                    if size > MAX_BYTES:
                        raise KinemaError(f"{self.base} gave a file of more than {MAX_BYTES:,} bytes.")
                    if time.monotonic() > end:
                        raise Down(f"{self.base}: the clip did not come in time.")
                    file.write(part)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Down(f"{self.base}: {type(error).__name__}.") from None

    def _said(self, answer: Any) -> dict[str, Any]:
        """How an order is."""
        with contextlib.suppress(ValueError):
            said = answer.json()
            if isinstance(said, dict) and isinstance(said.get("state"), str):
                return said
        raise KinemaError(f"{self.base} answers as no Kinema does: {answer.text[:100]!r}.")

    def _asked(self, http: Any, verb: str, path: str, lost: bool = False, **more: Any) -> Any:
        """The answer; with `lost`, also one that knows of no such clip."""
        httpx = http_library("Another Kinema")
        try:
            answer = http.request(verb, self.base + path, **more)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Down(f"{self.base}: {type(error).__name__}.") from None
        code = answer.status_code
        if code >= 500 or code in (408, 425, 429):
            raise Down(f"{self.base} answers {code}: {answer.text[:200]}")
        if code >= 400 and not (lost and code == 404):
            raise KinemaError(f"{self.base} refuses ({code}): {answer.text[:200]}")
        return answer

    def _client(self, job: Job) -> Any:
        httpx = http_library("Another Kinema")
        key = secret(job.space.get("key_env"))
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), headers=headers, follow_redirects=False, trust_env=False
        )


def _address(model: str) -> tuple[str, str]:
    """(where, which model). RequestError."""
    parts = urlsplit(model.removeprefix(KINEMA))
    name = unquote(parts.path.strip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or not name or "@" in parts.netloc:
        raise RequestError(
            f"making.model = {model!r} is no address of a model.", field="making.model", value=model,
            legal="kinema:http://HOST:PORT/MODEL",
        )  # fmt: skip
    return f"{parts.scheme}://{parts.netloc}", name
