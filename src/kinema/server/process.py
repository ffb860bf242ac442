"""`kinema serve`: the server and its workers, until SIGTERM or SIGINT."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import __version__
from ..core.errors import KinemaError, RequestError
from ..http.changes import Changes
from ..http.connection_limits import FOR_JOBS
from ..http.listening import address_of, check_can_serve, listen, owner_of
from ..http.serving import serve as serve_app
from .discovery import announced
from .settings import ServerSettings

PORT = 8188


@dataclass(frozen=True)
class Serving:
    """host, port: 0 is any free port. database: its URL, None for the SQLite file of this user. warm: models that
    workers load at once."""

    host: str = "127.0.0.1"
    port: int = PORT
    database: str | None = None
    warm: Sequence[str] = ()


def serve(where: Serving, settings: ServerSettings, report: Callable[[str], None]) -> None:
    """Serve until a signal. report: called with the address. RequestError: an address that is illegal, in use, or
    reachable from other machines without a token; a model that is missing."""
    check_can_serve("kinema serve", "server")
    if settings.token is None and not _is_loopback(where.host):
        raise RequestError(
            f"{where.host} is reachable from other machines and requires a token.", field="token_env",
            legal="--token-env VAR, an environment variable that holds at least 16 characters",
        )  # fmt: skip
    settings = replace(settings, models=tuple(_model(name, "model") for name in settings.models),
                       names=(*settings.names, where.host, socket.gethostname()))  # fmt: skip
    for name in where.warm:
        _model(name, "warm")
    with contextlib.closing(_listening(where.host, where.port)) as sock:
        from ..jobs.kinds import Kinds
        from ..jobs.store import JobStore
        from ..jobs.supervise import Workers
        from .app import server_app
        from .comfy.kind import KINDS

        with JobStore.open(where.database, kinds=Kinds(KINDS)) as store:
            changes = Changes(store.wait)
            app = server_app(store, settings, changes)
            url = address_of(sock).rstrip("/")
            workers = Workers(store, where.database, num_workers=settings.workers, device=settings.device or "",
                              warm=where.warm, arguments=("--kinds", "kinema.server.comfy.kind:KINDS"))  # fmt: skip
            with _until_signal(), workers, announced(url, __version__, settings.token):
                report(url)
                serve_app(app, sock, limits=FOR_JOBS, closing=changes.close)


@contextlib.contextmanager
def _until_signal() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM end it in order. The web server has its own handlers while it runs, and
    raises the signal again when it has ended, which must not skip what follows."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(*_: Any) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # the end is bounded: no signal interrupts it
        raise _Stopped

    for number in before:
        signal.signal(number, stop)
    try:
        with contextlib.suppress(_Stopped):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Stopped(BaseException):
    """A signal asked for the end."""


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket. RequestError names the process that has the port."""
    try:
        return listen(host, port)
    except RequestError:
        owner = owner_of(port) if port else None
        if owner is None:
            raise
        raise RequestError(
            f"Port {port} of {host} is in use by process {owner[0]} ({owner[1]}).", field="port", value=port,
            legal="another port, or 0 for any free one",
        ) from None  # fmt: skip


def _model(name: str, field: str) -> str:
    """The id of a model of this machine. RequestError names the field."""
    from ..weights import store

    try:
        card = store.find(name)
        store.locate(card)
    except KinemaError as error:
        raise RequestError(str(error), field=field, value=name) from None
    return card.id


def _is_loopback(host: str) -> bool:
    """Whether a host is reachable from this machine only."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
