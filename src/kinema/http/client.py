"""HTTP requests to untrusted servers: language models, other Kinema workers, Gradio Spaces.

Each request has one time limit, from before the connection until the last byte of the body (a server that sends a byte
every second does not extend it), and one size limit. Responses are not compressed (content-encoding identity), so the
limit of bytes read is also the limit of bytes stored. Requests stay on the origin: redirects are not followed, and an
address that was public on first connection must not become private (DNS rebinding).

`send_request` and `download` use httpx2; `bounds_auth` applies the same limits to a library with its own httpx client.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import KinemaError, ModelError
from ..core.extras import install_command
from ..core.outside import for_terminal, parse_json

CONNECT_S = 10.0
MAX_ANSWER_BYTES = 4 * 2**20
_PORTS = {"http": 80, "https": 443}


class HttpError(KinemaError):
    """A request without a usable response. where: the origin; why: the rest of the sentence."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} {why}.")
        self.where, self.why = where, why


class Unreachable(HttpError):
    """The connection failed or broke off before the response was complete."""


class HttpTimeout(Unreachable):
    """The response was not complete within the time limit."""


@dataclass(frozen=True)
class HttpResponse:
    """An HTTP response. body: complete, within the size limit."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The body for error messages: short, on one line, without terminal control sequences."""
        return " ".join(for_terminal(self.body[:1000].decode("utf-8", "replace"), 200).split())

    def json(self, name: str, kind: Any = dict, *, error: type[KinemaError] = KinemaError) -> Any:
        """The body as a JSON value of a type. name: the subject of the error message. Raises `error`."""
        return parse_json(self.body, name, kind, error=error)


def send_request(
    verb: str, url: str, *, limit_s: float = 30.0, max_bytes: int = MAX_ANSWER_BYTES, body: Any = None,
    headers: Mapping[str, str] | None = None, from_environment: bool = False, bounds: Bounds | None = None,
    caller: str = "This",
) -> HttpResponse:  # fmt: skip
    """Send one request and return the response, whatever its status. body: a JSON value to send. from_environment: use
    proxies of the environment. bounds: limits shared by several requests to one origin. caller: the client, for the
    error message of a missing package. Raises Unreachable, HttpTimeout, HttpError (more than max_bytes, a compressed
    body, another origin)."""
    data = bytearray()
    status, received = _exchange(
        verb, url, lambda part: data.extend(part), bounds or Bounds(url, limit_s), max_bytes, body, headers,
        from_environment, caller,
    )  # fmt: skip
    return HttpResponse(status, bytes(data), received)


def download(
    url: str, target: Path, *, max_bytes: int, limit_s: float = 30.0, headers: Mapping[str, str] | None = None,
    from_environment: bool = False, bounds: Bounds | None = None, caller: str = "This",
) -> int:  # fmt: skip
    """Download a body to a new file and return the HTTP status. The file is removed on errors and unless the status is
    200. Raises the errors of `send_request`, OSError, and FileExistsError if `target` exists."""
    try:
        with target.open("xb") as file:
            bounds = bounds or Bounds(url, limit_s)
            status, _ = _exchange("GET", url, file.write, bounds, max_bytes, None, headers, from_environment, caller)
    except FileExistsError:
        raise
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    if status != 200:
        target.unlink(missing_ok=True)
    return status


def _exchange(
    verb: str, url: str, take: Callable[[bytes], Any], bounds: Bounds, max_bytes: int, body: Any,
    headers: Mapping[str, str] | None, from_environment: bool, caller: str,
) -> tuple[int, dict[str, str]]:  # fmt: skip
    httpx = load_httpx(caller)
    content: dict[str, Any] = {} if body is None else {"content": json.dumps(body).encode()}
    sent = {**({"content-type": "application/json"} if content else {}), **(headers or {})}
    place = bounds.place
    try:
        with (
            httpx.Client(
                verify=_certificates(), trust_env=from_environment, follow_redirects=False,
                timeout=bounds.timeout(httpx), auth=bounds_auth(httpx, bounds, max_bytes),
            ) as client,
            client.stream(verb, url, headers=sent, **content) as response,
        ):  # fmt: skip
            for part in response.iter_bytes():
                take(part)
            return response.status_code, dict(response.headers)
    except HttpError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, ValueError) as error:
        if bounds.is_over or isinstance(error, httpx.TimeoutException):
            raise HttpTimeout(place, f"did not respond within {bounds.limit_s:g} s") from None
        text = for_terminal(str(error), 200) or type(error).__name__
        raise Unreachable(place, f"cannot be reached: {text}") from None


class Bounds:
    """The limits of all requests to the origin of `url`, within `limit_s` seconds from now in total. Thread-safe.
    refused: the last error raised here, for libraries that swallow it."""

    def __init__(self, url: str, limit_s: float) -> None:
        self.origin, self.limit_s = _origin(url), limit_s
        self.end = time.monotonic() + limit_s
        self.refused: HttpError | None = None
        self._was_public = False

    @property
    def place(self) -> str:
        """The origin as a URL, without its default port."""
        scheme, host, port = self.origin
        shown = f"[{host}]" if ":" in host else host
        return f"{scheme}://{shown}" + (f":{port}" if port != _PORTS.get(scheme) else "")

    @property
    def left_s(self) -> float:
        return self.end - time.monotonic()

    @property
    def is_over(self) -> bool:
        return self.left_s <= 0

    def timeout(self, httpx: Any) -> Any:
        """The httpx timeout of one wait within a request."""
        left_s = max(self.left_s, 0.001)
        return httpx.Timeout(left_s, connect=min(CONNECT_S, left_s))

    def _refusal(self, kind: type[HttpError], why: str) -> HttpError:
        self.refused = kind(self.place, why)
        return self.refused

    def begin(self, url: str) -> None:
        """Refuse a request to another origin or after the time limit."""
        if _origin(url) != self.origin:
            raise self._refusal(HttpError, f"redirects to another origin: {for_terminal(str(url), 100)}")
        self.check_time()

    def check_time(self) -> None:
        if self.is_over:
            raise self._refusal(HttpTimeout, f"did not respond within {self.limit_s:g} s")

    def check_peer(self, address: str) -> None:
        """Refuse a private address once the origin had a public one."""
        with contextlib.suppress(ValueError):
            public = ipaddress.ip_address(address.partition("%")[0]).is_global
            if self._was_public and not public:
                raise self._refusal(HttpError, f"was at a public address and is now at {address}")
            self._was_public = self._was_public or public

    def check_encoding(self, value: str) -> None:
        """Refuse a compressed response, by its content-encoding."""
        if value.strip().lower() not in ("", "identity"):
            raise self._refusal(HttpError, f"sends an encoded response ({for_terminal(value, 50)}); legal: identity")

    def parts(self, stream: Any, max_bytes: int) -> Iterator[bytes]:
        """Yield the parts of a body within the limits."""
        size = 0
        for part in stream:
            self.check_time()
            size += len(part)
            if size > max_bytes:
                raise self._refusal(HttpError, f"sends more than {max_bytes:,} bytes")
            yield part
        self.check_time()  # a body without a length also ends when `watch` shuts the socket down

    @contextlib.contextmanager
    def watch(self, sockets: list[Any]) -> Iterator[None]:
        """Shut the sockets down at the time limit, which ends any pending read or write."""

        def shut() -> None:
            for each in list(sockets):
                with contextlib.suppress(OSError, ValueError):
                    each.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(max(self.left_s, 0.0), shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def bounds_auth(httpx: Any, bounds: Bounds, max_bytes: int = MAX_ANSWER_BYTES) -> Any:
    """The bounds as an `auth` object of httpx or httpx2, which sees every request of a client. max_bytes: per body."""

    class Body(httpx.SyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, stream: Any, done: Callable[[], None]) -> None:
            self.stream, self.done = stream, done

        def __iter__(self) -> Iterator[bytes]:
            yield from bounds.parts(self.stream, max_bytes)

        def close(self) -> None:
            self.done()
            self.stream.close()

    class BoundsAuth(httpx.Auth):  # type: ignore[misc, name-defined]
        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            bounds.begin(str(request.url))
            request.headers["accept-encoding"] = "identity"
            sockets: list[Any] = []

            def trace(event: str, info: dict[str, Any]) -> None:
                if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
                    stream = info["return_value"]
                    sockets.append(stream.get_extra_info("socket"))
                    if event == "connection.connect_tcp.complete":
                        peer = stream.get_extra_info("server_addr")
                        bounds.check_peer(str(peer[0]) if isinstance(peer, tuple) else "")

            request.extensions["trace"] = trace
            watched = contextlib.ExitStack()
            watched.enter_context(bounds.watch(sockets))
            try:
                response = yield request
                bounds.check_encoding(response.headers.get("content-encoding", ""))
                response.stream = Body(response.stream, watched.close)
            except BaseException:
                watched.close()
                raise

    return BoundsAuth()


@functools.cache
def _certificates() -> Any:
    import ssl

    return ssl.create_default_context()


def _origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) of a URL. HttpError: not an http address."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
        port = parts.port or _PORTS.get(scheme, 0)
    except ValueError:
        scheme, host, port = "", "", 0
    if scheme not in _PORTS or not host:
        raise HttpError(repr(for_terminal(str(url), 100)), "is not an http address")
    return scheme, host, port


def load_httpx(caller: str) -> Any:
    """The httpx2 module. ModelError if it is not installed: `caller` requires it."""
    try:
        import httpx2
    except ImportError:
        raise ModelError(f"{caller} over HTTP requires httpx2: {install_command('channel')}") from None
    return httpx2
