"""An in-process server with configurable responses: drips, bombs, redirects, any JSON."""

from __future__ import annotations

import functools
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class OddServer:
    """answers: the response to each request, in order, repeating the last: a JSON value (status 200), or a function of
    the handler. asked: (verb, path) of each request; bodies: its body."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked, self.bodies = list(answers), [], []
        self.headers: list[dict[str, str]] = []
        odd = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                odd.asked.append((self.command, self.path))
                odd.headers.append({name.lower(): value for name, value in self.headers.items()})
                odd.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                wanted = odd.answers.pop(0) if len(odd.answers) > 1 else odd.answers[0]
                try:
                    wanted(self) if callable(wanted) else whole(json.dumps(wanted).encode())(self)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> OddServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def whole(data: bytes, status: int = 200, **headers: str) -> Callable[[Any], None]:
    def give(handler: Any) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return give


def begun(handler: Any, **headers: str) -> None:
    handler.send_response(200)
    for name, value in {"Connection": "close", **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.close_connection = True


def drip_body(handler: Any) -> None:
    """A byte at a time, and no length."""
    begun(handler)
    for _ in range(300):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def drip_headers(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(300):
        handler.wfile.write(b"y")
        handler.wfile.flush()
        time.sleep(0.1)


def silence(_handler: Any) -> None:
    time.sleep(30)


def stall(handler: Any) -> None:
    begun(handler, Content_Length="1000")
    handler.wfile.write(b"{")
    handler.wfile.flush()
    time.sleep(30)


def endless(handler: Any) -> None:
    begun(handler)
    while True:
        handler.wfile.write(b" " * 100_000)


def bomb(handler: Any) -> None:
    """A few hundred kilobytes that unpack to 300 MB."""
    whole(_packed(), Content_Encoding="gzip")(handler)


def hang_up(handler: Any) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


@functools.cache
def _packed() -> bytes:
    return gzip.compress(b" " * 300_000_000, 1)


SLOW = (drip_body, drip_headers, silence, stall)
LARGE = (endless, bomb)
