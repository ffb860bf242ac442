"""The channel's one way to ask other machines over HTTP: language models, other Kinemas, Gradio Spaces.

Whoever answers is a stranger. Each exchange has one time limit, from before the connection until the last byte of the
body (a server that sends a byte every second does not lengthen it), and one limit of bytes. Bodies come as they are
(content-encoding identity), so a limit of bytes read is a limit of bytes kept. Nothing leaves the origin that was
asked: redirects are not followed, and an address that was public when it was first reached cannot turn into one of
this machine or its network (DNS rebinding).

`ask` and `download` do it with httpx2; `fence` puts the same limits around a library that brings its own httpx.
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
from ..core.outside import for_terminal, parse_json

CONNECT_S = 10.0
MAX_ANSWER_BYTES = 4 * 2**20
_PORTS = {"http": 80, "https": 443}


class AskError(KinemaError):
    """An exchange gave nothing that can be used. where: which origin; why: a sentence's end."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where} {why}.")
        self.where, self.why = where, why


class Unreachable(AskError):
    """No whole answer came: no connection, or it broke."""


class TooSlow(Unreachable):
    """The answer was not complete within its time."""


@dataclass(frozen=True)
class Answer:
    """status: HTTP's. body: whole, of at most the bytes that were allowed."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The body as a person may be shown it: short, on one line, nothing that a terminal obeys."""
        return " ".join(for_terminal(self.body[:1000].decode("utf-8", "replace"), 200).split())

    def json(self, what: str, kind: Any = dict, *, error: type[KinemaError] = KinemaError) -> Any:
        """The body as a JSON value of a kind. Raises `error`."""
        return parse_json(self.body, what, kind, error=error)


def ask(
    verb: str, url: str, *, limit_s: float = 30.0, max_bytes: int = MAX_ANSWER_BYTES, body: Any = None,
    headers: Mapping[str, str] | None = None, from_environment: bool = False, bounds: Bounds | None = None,
    what: str = "This",
) -> Answer:  # fmt: skip
    """One exchange, whatever its status. body: a JSON value to send. from_environment: take its proxies. bounds: to
    share between exchanges with one origin (Bounds). Unreachable, TooSlow, AskError (more than max_bytes, an encoding
    that was not asked for, another origin)."""
    kept = bytearray()
    given = _exchange(
        verb, url, lambda part: kept.extend(part), bounds or Bounds(url, limit_s), max_bytes, body, headers,
        from_environment, what,
    )  # fmt: skip
    return Answer(given[0], bytes(kept), given[1])


def download(
    url: str, target: Path, *, max_bytes: int, limit_s: float = 30.0, headers: Mapping[str, str] | None = None,
    from_environment: bool = False, bounds: Bounds | None = None, what: str = "This",
) -> int:  # fmt: skip
    """A body into a new file, which is complete when this returns; removed when it fails. Gives the status; only a 200
    leaves a file. Errors: as of `ask`, and OSError of the disk; FileExistsError where `target` is there."""
    try:
        with target.open("xb") as file:
            own = bounds or Bounds(url, limit_s)
            status, _ = _exchange("GET", url, file.write, own, max_bytes, None, headers, from_environment, what)
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
    headers: Mapping[str, str] | None, from_environment: bool, what: str,
) -> tuple[int, dict[str, str]]:  # fmt: skip
    httpx = library(what)
    given: dict[str, Any] = {} if body is None else {"content": json.dumps(body).encode()}
    said = {**({"content-type": "application/json"} if given else {}), **(headers or {})}
    place = bounds.place
    try:
        with (
            httpx.Client(
                verify=_certificates(), trust_env=from_environment, follow_redirects=False,
                timeout=bounds.timeout(httpx), auth=fence(httpx, bounds, max_bytes),
            ) as client,
            client.stream(verb, url, headers=said, **given) as answer,
        ):  # fmt: skip
            for part in answer.iter_bytes():
                take(part)
            return answer.status_code, dict(answer.headers)
    except AskError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, ValueError) as error:
        if bounds.is_over or isinstance(error, httpx.TimeoutException):
            raise TooSlow(place, f"did not answer within {bounds.limit_s:g} s") from None
        text = for_terminal(str(error), 200) or type(error).__name__
        raise Unreachable(place, f"cannot be reached: {text}") from None


class Bounds:
    """The limits of exchanges with the origin of `url`, all of them together within `limit_s` seconds from now. May be
    used by several threads. refused: why the last one was stopped, for where a library swallows the error."""

    def __init__(self, url: str, limit_s: float) -> None:
        self.origin, self.limit_s = _origin(url), limit_s
        self.end = time.monotonic() + limit_s
        self.refused: AskError | None = None
        self._was_public = False

    @property
    def place(self) -> str:
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
        """Of one wait within an exchange, as httpx takes it."""
        left_s = max(self.left_s, 0.001)
        return httpx.Timeout(left_s, connect=min(CONNECT_S, left_s))

    def _no(self, kind: type[AskError], why: str) -> AskError:
        self.refused = kind(self.place, why)
        return self.refused

    def begin(self, url: str) -> None:
        """Refuse a request that is too late or goes elsewhere."""
        if _origin(url) != self.origin:
            raise self._no(AskError, f"leads elsewhere, to {for_terminal(str(url), 100)}")
        self.check_time()

    def check_time(self) -> None:
        if self.is_over:
            raise self._no(TooSlow, f"did not answer within {self.limit_s:g} s")

    def met(self, address: str) -> None:
        """Refuse, once a public address was met, one of this machine or its network."""
        with contextlib.suppress(ValueError):
            public = ipaddress.ip_address(address.partition("%")[0]).is_global
            if self._was_public and not public:
                raise self._no(AskError, f"was at a public address and is now at {address}")
            self._was_public = self._was_public or public

    def encoding(self, told: str) -> None:
        if told.strip().lower() not in ("", "identity"):
            raise self._no(AskError, f"sends an encoded answer ({for_terminal(told, 50)}), which was not asked for")

    def parts(self, stream: Any, max_bytes: int) -> Iterator[bytes]:
        """A body's parts, within the limits."""
        size = 0
        for part in stream:
            self.check_time()
            size += len(part)
            if size > max_bytes:
                raise self._no(AskError, f"sends more than {max_bytes:,} bytes")
            yield part
        self.check_time()  # a body without a length also ends where `watch` cut it off

    @contextlib.contextmanager
    def watch(self, sockets: list[Any]) -> Iterator[None]:
        """Shut these sockets down when the time is over, whatever is waited for at them."""

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


def fence(httpx: Any, bounds: Bounds, max_bytes: int = MAX_ANSWER_BYTES) -> Any:
    """The bounds as an `auth` of httpx or httpx2, which every request of a client passes, whoever makes it. max_bytes:
    of each body."""

    class Body(httpx.SyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, stream: Any, done: Callable[[], None]) -> None:
            self.stream, self.done = stream, done

        def __iter__(self) -> Iterator[bytes]:
            yield from bounds.parts(self.stream, max_bytes)

        def close(self) -> None:
            self.done()
            self.stream.close()

    class Fence(httpx.Auth):  # type: ignore[misc, name-defined]
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
                        bounds.met(str(peer[0]) if isinstance(peer, tuple) else "")

            request.extensions["trace"] = trace
            watched = contextlib.ExitStack()
            watched.enter_context(bounds.watch(sockets))
            try:
                response = yield request
                bounds.encoding(response.headers.get("content-encoding", ""))
                response.stream = Body(response.stream, watched.close)
            except BaseException:
                watched.close()
                raise

    return Fence()


@functools.cache
def _certificates() -> Any:
    import ssl

    return ssl.create_default_context()


def _origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port). AskError where it is no http address."""
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
        port = parts.port or _PORTS.get(scheme, 0)
    except ValueError:
        scheme, host, port = "", "", 0
    if scheme not in _PORTS or not host:
        raise AskError(repr(for_terminal(str(url), 100)), "is no http address")
    return scheme, host, port


def library(what: str) -> Any:
    """httpx2. ModelError where it is not installed: `what` needs it."""
    try:
        import httpx2
    except ImportError:
        raise ModelError(f"{what} over HTTP needs httpx2: pip install 'kinema[channel]'.") from None
    return httpx2
