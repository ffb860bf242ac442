"""Listening sockets, without importing a web framework."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
from pathlib import Path

from ..core.errors import ModelError, RequestError
from ..core.extras import install_command
from ..core.outside import for_terminal


def check_can_serve(what: str, extra: str) -> None:
    """Raise ModelError if the web packages are not installed. what: the subject of the message. extra: the one that
    installs them."""
    wanted = ("starlette", "uvicorn", *(("websockets", "blake3") if extra == "server" else ()))
    if missing := [name for name in wanted if importlib.util.find_spec(name) is None]:
        raise ModelError(f"{what} requires {' and '.join(missing)}: {install_command(extra)}")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket (port 0: any free port). RequestError: port in use, or not an address of this machine."""
    if not 0 <= port <= 65535:
        raise RequestError(f"Illegal port: {port}.", field="port", value=port, legal="0 to 65535")
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]  # fmt: skip
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(512)
    except OSError as error:
        raise RequestError(
            f"Cannot listen at {host}:{port}: {error.strerror or error}.", field="port", value=port,
            legal="a free port, or 0 for any",
        ) from None  # fmt: skip
    return sock


def check_free(host: str, port: int, what: str, field: str, legal: str) -> None:
    """Raise RequestError if a port is in use, with the process if it is visible. what: the subject of the message, such
    as "The port of the page". field, legal: those of the error."""
    try:
        listen(host, port).close()
    except RequestError as error:
        owner = owner_of(port)
        by = f", process {owner[0]} ({owner[1]})" if owner is not None else ""
        raise RequestError(
            f"{what}, {host}:{port}, is in use{by}. {error.message}", field=field, value=port, legal=legal,
        ) from None  # fmt: skip


def owner_of(port: int) -> tuple[int, str] | None:
    """(process id, command line) of the process that listens at a TCP port; None if it is not visible (another user's
    process, or a system without /proc)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = [line.split() for name in ("tcp", "tcp6") for line in _lines(Path("/proc/net") / name)[1:]]
        nodes = {f"socket:[{line[9]}]" for line in lines if line[3] == "0A" and int(line[1].split(":")[1], 16) == port}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if any(str(each.readlink()) in nodes for each in (process / "fd").iterdir()):
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    return int(process.name), for_terminal(command.strip(), 120)
    return None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines() if path.exists() else []


def address_of(sock: socket.socket) -> str:
    """The http://HOST:PORT/ address of a socket for a browser on this machine."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
