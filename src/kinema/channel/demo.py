"""`kinema channel demo`: write a channel file, then run the channel and its page with the shipped miniature."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.errors import RequestError
from ..core.whole import write_text
from ..http.client import HttpError, send_request
from ..http.listening import check_can_serve, listen
from . import control

PORT, TRIED = 8080, 20
FILE = """\
# The channel of `kinema channel demo`. Start it again with: kinema channel start THIS_FILE
title = "Kinema TV"
folder = "{name}"
theme = "a quiet night over the city"

[[part]]
from = "06:00"
until = "11:00"
theme = "birds over a green meadow in the morning"

[[part]]
from = "11:00"
until = "17:00"
theme = "a race of little cars over the hills"

[[part]]
from = "17:00"
until = "22:00"
theme = "boats on the sea at sunset"

[bible]
seconds = 2.0

[director]
shots = 4

[making]
model = "{model}"
profile = "fast"

[stock]
low = 6
enough = 60

[music]
seconds = 60.0

[viewers]
every = 2

[page]
port = {port}
"""


def free_port(port: int | None) -> int:
    """The requested port (RequestError if it is taken), or the first free one from 8080 on."""
    if port is not None:
        if port:
            listen("127.0.0.1", port).close()
            return port
        with contextlib.closing(listen("127.0.0.1", 0)) as sock:
            return int(sock.getsockname()[1])
    for each in range(PORT, PORT + TRIED):
        with contextlib.suppress(RequestError):
            listen("127.0.0.1", each).close()
            return each
    raise RequestError(f"The ports {PORT} to {PORT + TRIED - 1} are taken.", field="port", legal="--port N")


def write_file(folder: Path, port: int, model: str = "kinema-mini-wan") -> Path:
    """Write the channel file in a folder. An existing one is kept, except for its port."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "demo.toml"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        text = "\n".join(f"port = {port}" if line.startswith("port = ") else line for line in lines) + "\n"
    else:
        text = FILE.format(name="channel", model=model, port=port)
    write_text(path, text)
    return path


def run(
    file: Path, port: int, stop: threading.Event, on_air: Callable[[str], None],
    report: Callable[[dict[str, Any]], None] = lambda status: None,
) -> None:  # fmt: skip
    """Run the channel until `stop` is set. on_air: called with the page's address once the stream is available."""
    check_can_serve("A channel's page", "channel")
    address = f"http://127.0.0.1:{port}/"
    waiting = threading.Thread(target=_wait, args=(address, stop, on_air), daemon=True)
    waiting.start()
    try:
        control.start(file, stop, report)
    finally:
        stop.set()
        waiting.join(5.0)


def _wait(address: str, stop: threading.Event, on_air: Callable[[str], None]) -> None:
    while not stop.wait(0.25):
        with contextlib.suppress(HttpError):
            if send_request("GET", f"{address}live.m3u8", limit_s=5.0).status == 200:
                on_air(address)
                return
