"""`kinema worker --listen`: the order queue (making/order_queue.py) and its HTTP API, until SIGTERM or SIGINT."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Callable, Sequence

from ...core.errors import RequestError
from ...core.leftovers import temporary_folder
from ...http.connection_limits import FOR_ORDERS
from ...http.listening import address_of, check_can_serve, listen
from ...http.serving import serve as serve_app
from ..config import secret
from ..making.makers import KinemaMaker, factory_of
from ..making.order_queue import OrderQueue


def serve(
    where: str, models: Sequence[str], device: str, token_env: str | None, report: Callable[[str], None]
) -> None:  # fmt: skip
    """Serve orders. report: called with the models and the address. RequestError: an address that is illegal, in use,
    or not local while there is no token; a model that is missing or not a Kinema model."""
    check_can_serve("A worker that listens", "channel")
    host, port = _host_and_port(where)
    token = secret(token_env) or None
    if token is None and not _is_loopback(host):
        raise RequestError(
            f"{host} is reachable from other machines and requires a token.", field="token_env", value=token_env,
            legal="the name of an environment variable that holds at least 16 characters",
        )  # fmt: skip
    for model in models:
        if model != "toyland":
            _check(model)
    from .clip_site import clip_site

    with temporary_folder("bench") as folder:
        orders = OrderQueue(models, folder, device)
        app, sock = clip_site(orders, token, [host]), listen(host, port)
        threading.Thread(target=orders.run, name="kinema-orders", daemon=True).start()
        report(f"{', '.join(models)} at {address_of(sock)}")
        try:
            serve_app(app, sock, limits=FOR_ORDERS)
        finally:
            orders.stop()


def _check(model: str) -> None:
    from ...weights import store

    if factory_of(model) is not KinemaMaker:  # by name only, without running a maker's code
        raise RequestError(
            f"{model!r} is not a model of this machine.", field="model", value=model, legal="Kinema models, or toyland"
        )
    store.locate(store.find(model))


def _host_and_port(where: str) -> tuple[str, int]:
    host, colon, port = where.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise RequestError(f"{where!r} is not HOST:PORT.", field="listen", value=where, legal="such as 127.0.0.1:8200")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    """Whether a host is reachable from this machine only."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
