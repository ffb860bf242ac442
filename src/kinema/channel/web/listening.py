"""Where a site listens, and whether one can be served at all; needs no web framework itself."""

from __future__ import annotations

import importlib.util
import socket

from ...core.errors import ModelError, RequestError


def check_can_serve() -> None:
    """ModelError where the packages that serve a page are not installed."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"A channel's page needs {' and '.join(missing)}: pip install 'kinema[channel]'.")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens (port 0: any free one). RequestError: taken, or not an address of this machine."""
    if not 0 <= port <= 65535:
        raise RequestError(f"Port {port}.", field="port", value=port, legal="0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(found[0], found[1])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(found[4])
        sock.listen(512)
    except OSError as error:
        raise RequestError(
            f"Cannot listen at {host}:{port} ({error.strerror or error}).", field="port", value=port,
            legal="a port that is free, or 0 for any",
        ) from None  # fmt: skip
    return sock


def address_of(sock: socket.socket) -> str:
    """http://HOST:PORT/ as a browser on this machine takes it."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
