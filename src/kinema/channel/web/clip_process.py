"""`kinema worker --listen`: a bench (making/bench.py) and its site, in this process, until SIGTERM or SIGINT."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Callable, Sequence

from ...core.errors import RequestError
from ...core.leftovers import temporary_folder
from ..config import secret
from ..making.bench import Bench
from ..making.makers import KinemaMaker, made_by
from .listening import address_of, check_can_serve, listen
from .patience import FOR_ORDERS


def serve(
    where: str, models: Sequence[str], device: str, token_env: str | None, tell: Callable[[str], None]
) -> None:  # fmt: skip
    """Draw what is ordered. RequestError: an address that is none, taken, or open to others without a token; a model
    that is not one of Kinema's or not here."""
    check_can_serve()
    host, port = _parted(where)
    token = secret(token_env) or None
    if token is None and not _is_own(host):
        raise RequestError(
            f"Others can reach {host}, so it needs a token.", field="token_env", value=token_env,
            legal="the name of an environment variable with at least 16 characters in it",
        )  # fmt: skip
    for model in models:
        if model != "toyland":
            _check(model)
    from . import site
    from .clip_site import clip_site

    with temporary_folder("bench") as folder:
        bench = Bench(models, folder, device)
        app, sock = clip_site(bench, token, [host]), listen(host, port)
        threading.Thread(target=bench.run, name="kinema-bench", daemon=True).start()
        tell(f"{', '.join(models)} at {address_of(sock)}")
        try:
            site.serve(app, sock, patience=FOR_ORDERS)
        finally:
            bench.stop()


def _check(model: str) -> None:
    from ...weights import store

    if made_by(model) is not KinemaMaker:  # asked by its name alone: a maker's own code is not run to find out
        raise RequestError(
            f"{model!r} is drawn elsewhere.", field="model", value=model, legal="models of Kinema's, or toyland"
        )
    store.locate(store.find(model))


def _parted(where: str) -> tuple[str, int]:
    host, colon, port = where.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise RequestError(f"{where!r} is no HOST:PORT.", field="listen", value=where, legal="as 127.0.0.1:8200")
    return host.strip("[]"), int(port)


def _is_own(host: str) -> bool:
    """Does only this machine reach it?"""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
