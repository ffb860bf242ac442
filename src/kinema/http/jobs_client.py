"""A client of `kinema serve`: jobs, events, results and uploads over HTTP (docs/server.md).

Only the standard library is used, because a command that hands its work to a warm server must start quickly. Every
answer is bounded in size and time; a stream of events may last, but not stay silent longer than SILENCE_S, because the
server sends a comment more often than that.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from ..core.errors import KinemaError, MediaError, RequestError
from ..core.outside import for_terminal, of_kind, parse_json
from .client import MAX_ANSWER_BYTES, Bounds, HttpError, HttpTimeout, Unreachable

ANSWER_S, CONNECT_S, SILENCE_S = 30.0, 5.0, 60.0
PLAN_S = 600.0
"""Planning reads the inputs; a fill surveys the whole clip."""
BLOCK = 2**20
MAX_LINE = 4 * 2**20
REFUSED = (400, 413, 415, 422)

OnBytes = Callable[[int, int], object]


class NoSuchJobThere(KinemaError):
    """The server has no such job or media."""


class NotNow(KinemaError):
    """The state of the job, or the server at this time, does not allow it (409, 429, 5xx)."""


class JobsServer:
    """A server by its URL. token: sent as `Authorization: Bearer`. answer_s: time limit of one exchange. Methods raise
    HttpError (Unreachable: it is gone; HttpTimeout), RequestError (it refuses a value), NoSuchJobThere, NotNow,
    KinemaError (any other status)."""

    def __init__(self, url: str, token: str | None = None, *, answer_s: float = ANSWER_S) -> None:
        self.url, self.token, self.answer_s = url.rstrip("/"), token, answer_s
        self.place = Bounds(self.url, ANSWER_S).place

    # -- what it is --------------------------------------------------------------------------------------------------

    def health(self, limit_s: float | None = None) -> dict[str, Any]:
        """Its /healthz: {"version", ...}."""
        return self._json("GET", "/healthz", limit_s=limit_s)

    def is_ready(self, limit_s: float | None = None) -> bool:
        """Whether it has a worker that takes jobs (/readyz)."""
        try:
            self._json("GET", "/readyz", limit_s=limit_s)
        except NotNow:
            return False
        return True

    def plan(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The plan of a request, as JSON."""
        return self._json("POST", "/plan", body, limit_s=PLAN_S)

    def models(self) -> list[Any]:
        """The models that clients may use: {"id", "accepts", ...}."""
        return of_kind(self._json("GET", "/models").get("models"), f"{self.place}: its models", list)

    # -- jobs --------------------------------------------------------------------------------------------------------

    def submit(
        self, kind: str, body: Mapping[str, Any], *, key: str, priority: int = 0, name: str = "",
        limit_s: float | None = None,
    ) -> Any:  # fmt: skip
        """Submit a job and return it. key: the idempotency key; the same call again returns the same job."""
        sent = {"kind": kind, "body": body, "priority": priority, "name": name}
        return self._json("POST", "/jobs", sent, headers={"idempotency-key": key}, limit_s=limit_s)

    def job(self, id: str) -> dict[str, Any]:
        return self._json("GET", _path(id))

    def jobs(self, states: Sequence[str] = (), limit: int = 50, before: str | None = None) -> list[dict[str, Any]]:
        """Jobs, the newest first."""
        asked = {"state": ",".join(states) or None, "limit": limit, "before": before}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        found = self._json("GET", f"/jobs?{query}").get("jobs")
        return [of_kind(each, f"{self.place}: a job", dict) for each in of_kind(found, f"{self.place}: jobs", list)]

    def act(self, id: str, action: str, body: Mapping[str, Any] | None = None, limit_s: float | None = None) -> Any:
        """Do one of cancel, retry, pause, resume and move; return the job."""
        return self._json("POST", f"{_path(id)}/{action}", body or {}, limit_s=limit_s)

    def delete(self, id: str) -> None:
        self._json("DELETE", _path(id))

    def events(self, id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the events of a job numbered above `after`, as they come: {"number", "kind", "data"}. Ends after
        the event that ends the job, or when the server closes the stream."""
        headers = {"accept": "text/event-stream", "last-event-id": str(after)}
        with self._answer("GET", f"{_path(id)}/events?after={after}", headers=headers, limit_s=None) as answer:
            for number, kind, text in _server_sent(answer, self.place):
                yield {"number": number, "kind": kind, "data": parse_json(text, f"{self.place}: an event", dict)}

    # -- files -------------------------------------------------------------------------------------------------------

    def save_result(
        self, id: str, result: Mapping[str, Any], target: Path, on_bytes: OnBytes = lambda done, total: None, *,
        limit_s: float | None = None,
    ) -> None:  # fmt: skip
        """Download the result of a job to a file. result: that of the job, with its size and hash. limit_s: None bounds
        only silence. MediaError: the file cannot be written. HttpError: it is another one."""
        total = of_kind(result.get("bytes"), f"{self.place}: the result's bytes", int)
        digest, done = hashlib.sha256(), 0
        with self._answer("GET", f"{_path(id)}/result", limit_s=limit_s) as answer, _writing(target) as file:
            while block := _read(answer, BLOCK, self.place):
                done += len(block)
                if done > total:
                    raise HttpError(self.place, f"sends more than the {total:,} bytes of the result")
                digest.update(block)
                file.write(block)
                on_bytes(done, total)
        if f"sha256:{digest.hexdigest()}" != result.get("media"):
            raise HttpError(self.place, "sends another file than the result of the job")

    def has_media(self, sha256: str) -> bool:
        """Whether its store has the media with this SHA-256 (hexadecimal)."""
        try:
            with self._answer("HEAD", f"/media/{sha256}", limit_s=self.answer_s):
                return True
        except NoSuchJobThere:
            return False

    def media_json(self, media: str) -> dict[str, Any]:
        """The JSON in a file of its store, by "sha256:<hex>"."""
        return self._json("GET", f"/media/{quote(media.removeprefix('sha256:'), safe='')}")

    def upload(
        self, path: Path, sha256: str, media_type: str, on_bytes: OnBytes = lambda done, total: None, *,
        limit_s: float | None = None,
    ) -> None:  # fmt: skip
        """Upload a file whose SHA-256 is known. limit_s: None bounds only silence. MediaError if it cannot be read."""
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                headers = {"content-type": media_type, "content-length": str(size), "x-kinema-sha256": sha256}
                with self._answer("POST", "/media", headers=headers, limit_s=limit_s,
                                  blocks=_blocks(file, size, on_bytes)) as answer:  # fmt: skip
                    found = parse_json(_read(answer, MAX_ANSWER_BYTES, self.place), self.place, dict)
        except OSError as error:
            raise MediaError(f"{path}: {error.strerror or error}.") from None
        if found.get("media") != f"sha256:{sha256}":
            raise HttpError(self.place, f"has stored other bytes than those of {path}")

    # -- transport ---------------------------------------------------------------------------------------------------

    def _json(
        self, verb: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None,
        limit_s: float | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        limit_s = self.answer_s if limit_s is None else limit_s
        with self._answer(verb, path, body, headers=headers, limit_s=limit_s) as answer:
            data = b"" if answer.status == 204 else _read(answer, MAX_ANSWER_BYTES + 1, self.place)
        if len(data) > MAX_ANSWER_BYTES:
            raise HttpError(self.place, f"sends more than {MAX_ANSWER_BYTES:,} bytes")
        return parse_json(data, f"{self.place}: the answer", dict) if data else {}

    @contextlib.contextmanager
    def _answer(
        self, verb: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None,
        limit_s: float | None = None, blocks: Iterator[bytes] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:  # fmt: skip
        """Yield the successful response to one request. limit_s: of the whole exchange; None: only silence is bounded.
        Raises the error that another status stands for."""
        sent = {"connection": "close", "accept-encoding": "identity", **(headers or {})}
        if self.token:
            sent["authorization"] = f"Bearer {self.token}"
        content: Any = blocks
        if body is not None:
            content = json.dumps(body).encode()
            sent["content-type"] = "application/json"
        bounds = Bounds(self.url, limit_s or SILENCE_S)
        connection = _connection(self.url, min(CONNECT_S, bounds.limit_s))
        try:
            with contextlib.ExitStack() as watched:
                connection.connect()
                connection.sock.settimeout(bounds.limit_s)
                if limit_s is not None:
                    watched.enter_context(bounds.watch([connection.sock]))
                connection.request(verb, urlsplit(self.url).path + path, body=content, headers=sent)
                answer = connection.getresponse()
                bounds.check_encoding(answer.headers.get("content-encoding", ""))
                if answer.status >= 300:
                    raise _refusal(answer.status, _read(answer, MAX_ANSWER_BYTES, self.place), self.place)
                yield answer
                if limit_s is not None and bounds.is_over:  # the watch closed the connection, which looks like an end
                    raise TimeoutError
        except KinemaError as error:
            if limit_s is not None and bounds.is_over and not isinstance(error, HttpTimeout):
                raise _gone(error, self.place, bounds) from None
            raise
        except (OSError, http.client.HTTPException) as error:
            raise _gone(error, self.place, bounds if limit_s is not None else None) from None
        finally:
            connection.close()


def _connection(url: str, timeout_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    if parts.scheme.lower() == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout_s)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)


def _path(id: str) -> str:
    return f"/jobs/{quote(id, safe='')}"


def _gone(error: Exception, place: str, bounds: Bounds | None) -> HttpError:
    """The error for a connection that failed or broke."""
    if isinstance(error, TimeoutError | socket.timeout) or (bounds is not None and bounds.is_over):
        return HttpTimeout(place, f"did not respond within {bounds.limit_s if bounds else SILENCE_S:g} s")
    return Unreachable(place, f"cannot be reached: {for_terminal(str(error), 200) or type(error).__name__}")


def _read(answer: http.client.HTTPResponse, most: int, place: str) -> bytes:
    try:
        return answer.read(most)
    except (OSError, http.client.HTTPException) as error:
        raise _gone(error, place, None) from None


def _refusal(status: int, data: bytes, place: str) -> KinemaError:
    """The error of a status and its JSON: {"error": sentence, "field", "value", "legal"}."""
    try:
        found = parse_json(data, place, dict)
        sentence = str(found["error"])
    except (KinemaError, KeyError):
        found, sentence = {}, f"{place} answers with status {status}."
    sentence = for_terminal(sentence, 2000)
    if status in REFUSED:
        legal = for_terminal(str(found.get("legal") or ""), 1000)
        if f"Legal: {legal}" in sentence:
            legal = ""
        return RequestError(sentence, field=str(found.get("field") or ""), value=found.get("value"), legal=legal)
    if status == 401:
        return KinemaError(f"{place} requires its token, in KINEMA_SERVER_TOKEN. {sentence}")
    kinds: dict[int, type[KinemaError]] = {404: NoSuchJobThere, 408: NotNow, 409: NotNow, 425: NotNow, 429: NotNow}
    return kinds.get(status, NotNow if status >= 500 else KinemaError)(sentence)


def _server_sent(answer: http.client.HTTPResponse, place: str) -> Iterator[tuple[int, str, str]]:
    """Yield id, kind and data of each event of a stream (HTML standard, section 9.2)."""
    id, kind, data = 0, "", list[str]()
    while True:
        try:
            line = answer.readline(MAX_LINE)
        except (OSError, http.client.HTTPException) as error:
            raise _gone(error, place, None) from None
        if not line:
            return
        name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if not line.strip():
            if data:
                yield id, kind, "\n".join(data)
            kind, data = "", []
        elif name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id" and value.isdigit():
            id = int(value)


def _blocks(file: BinaryIO, size: int, on_bytes: OnBytes) -> Iterator[bytes]:
    done = 0
    while block := file.read(min(BLOCK, size - done)):
        yield block
        done += len(block)
        on_bytes(done, size)


@contextlib.contextmanager
def _writing(target: Path) -> Iterator[BinaryIO]:
    try:
        with target.open("wb") as file:
            yield file
    except OSError as error:
        raise MediaError(f"{target}: cannot be written ({error.strerror or error}).") from None
