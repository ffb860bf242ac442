"""A chat endpoint that sees, in a thread, with failures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = "A red ball rolls to the left over a meadow."


def completion(content: Any, **message: Any) -> tuple[int, bytes]:
    chosen = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **message}}
    return 200, json.dumps({"choices": [chosen]}).encode()


REPLIES: dict[str, tuple[int, bytes]] = {
    "good": completion(json.dumps({"caption": GOOD})),
    "fenced": completion(f"<think>hm {{}}</think>Sure!\n```json\n{json.dumps({'caption': GOOD})}\n```"),
    "control": completion(json.dumps({"caption": "A\x1b[31m red\n ball\u202e rolls."})),
    "garbage": completion("A red ball, I would say."),
    "empty": completion(json.dumps({"caption": " "})),
    "number": completion(json.dumps({"caption": 7})),
    "sorry": completion(json.dumps({"caption": "I'm sorry, but I can't help with that."})),
    "refusal": completion(None, refusal="I will not describe this."),
    "no completion": (200, b'{"detail": []}'),
    "broken": (200, b'{"choices": [{'),
    "busy": (429, b'{"error": "slow down"}'),
    "failed": (500, b"oops"),
    "forbidden": (401, b'{"error": "no such key"}'),
}


class Asked:
    """The address, the bodies of the requests so far, and what the next ones are answered, the last one for ever."""

    def __init__(self, url: str, *behaviours: str) -> None:
        self.url, self.behaviours = url, list(behaviours)
        self.bodies: list[dict[str, Any]] = []
        self.schemas = True


@contextmanager
def caption_server(*behaviours: str) -> Iterator[Asked]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.bodies.append(body)
            if not asked.schemas and "response_format" in body:
                status, data = 400, b'{"error": "response_format is not supported"}'
            else:
                behaviour = asked.behaviours.pop(0) if len(asked.behaviours) > 1 else asked.behaviours[0]
                if behaviour == "hang":
                    time.sleep(1.0)
                status, data = REPLIES.get(behaviour, REPLIES["good"])
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                pass

        def log_message(self, *parts: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    asked = Asked(f"http://127.0.0.1:{server.server_address[1]}/v1", *(behaviours or ("good",)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
