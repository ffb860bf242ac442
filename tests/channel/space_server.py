"""A stand-in for a Gradio Space, as a separate process: the parts of Gradio's protocol that its client uses.

`python space_server.py CLIP LOG BEHAVIOUR...` prints its port. Each call of /make applies the next behaviour (repeating
the last one): good (returns CLIP), words (no file), error (the app refuses), hang, 503 (its queue is full), text (a
file that is not a clip), or JSON: the response data ($HOST is its own address). Files below /srv fail as their names
say: redirect/ADDRESS, drip (a byte at a time), endless, packed (gzip). A first behaviour that begins with `config-`
applies to /config: config-drip, config-packed, config-elsewhere (calls go to ADDRESS), config-odd (another type);
stream-drip and stream-endless apply to the message stream.
LOG gets a line per call. Messages have the structure of gradio 6.31.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

CLIP, LOG, BEHAVIOURS = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
CONFIGURED = BEHAVIOURS.pop(0) if BEHAVIOURS[0].startswith("config-") else ""
NAMES = ("prompt", "seed")
CONFIG = {
    "version": "6.31.0", "api_prefix": "/gradio_api", "protocol": "sse_v3", "space_id": None, "is_space": False,
    "connect_heartbeat": False,
    "components": [
        {"id": 1, "type": "textbox", "props": {}, "skip_api": False, "api_info": {"type": "string"}},
        {"id": 2, "type": "number", "props": {}, "skip_api": False, "api_info": {"type": "number"}},
        {"id": 3, "type": "video", "props": {}, "skip_api": False,
         "api_info": {"type": "object", "title": "FileData", "properties": {"path": {"type": "string"}}}},
    ],
    "dependencies": [
        {"id": 0, "targets": [], "inputs": [1, 2], "outputs": [3], "backend_fn": True, "api_name": "make",
         "queue": True, "api_visibility": "public", "types": {"generator": False, "cancel": False}},
    ],
}  # fmt: skip
INFO = {
    "named_endpoints": {
        "/make": {
            "parameters": [
                {"label": name, "parameter_name": name, "parameter_has_default": False, "parameter_default": None,
                 "type": {"type": kind}, "python_type": {"type": kind, "description": ""}, "component": component,
                 "example_input": ""}
                for name, kind, component in (("prompt", "string", "Textbox"), ("seed", "number", "Number"))
            ],
            "returns": [{"label": "clip", "type": {}, "python_type": {"type": "filepath", "description": ""},
                         "component": "Video"}],
            "api_visibility": "public",
        }
    },
    "unnamed_endpoints": {},
}  # fmt: skip
calls: dict[str, tuple[str, str]] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/config":
            return self.configure()
        if path == "/gradio_api/info":
            return self.answer(INFO)
        if path == "/gradio_api/queue/data":
            return self.stream(parse_qs(urlsplit(self.path).query)["session_hash"][0])
        if path.startswith("/gradio_api/file="):
            return self.give(unquote(path.partition("file=")[2]).removeprefix("/srv/"))
        return self.answer({"detail": "not found"}, 404)

    def configure(self) -> None:
        if CONFIGURED == "config-drip":
            return self.drip()
        if CONFIGURED == "config-packed":
            return self.send(gzip.compress(b" " * 20_000_000, 1), "application/json", encoding="gzip")
        if CONFIGURED.startswith("config-elsewhere "):
            return self.answer(CONFIG | {"api_prefix": CONFIGURED.partition(" ")[2]})
        if CONFIGURED.startswith("config-odd "):
            return self.send(CONFIGURED.partition(" ")[2].encode(), "application/json")
        return self.answer(CONFIG)

    def give(self, name: str) -> None:
        if name.startswith("redirect/"):
            self.send_response(302)
            self.send_header("Location", name.removeprefix("redirect/"))
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if name == "drip":
            return self.drip()
        if name == "endless":
            self.begin("video/mp4")
            while True:
                self.wfile.write(bytes(100_000))
        if name == "packed":
            return self.send(gzip.compress(CLIP.read_bytes()), "video/mp4", encoding="gzip")
        return self.send(CLIP.read_bytes() if name.endswith("clip.mp4") else b"words", "video/mp4")

    def begin(self, kind: str) -> None:
        """Begin a response without a length."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def drip(self, kind: str = "application/json") -> None:
        self.begin(kind)
        for _ in range(600):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.startswith("/gradio_api/queue/join"):
            return self.answer({}, 404)
        number = len(LOG.read_text().splitlines()) if LOG.exists() else 0
        behaviour = BEHAVIOURS[min(number, len(BEHAVIOURS) - 1)]
        with LOG.open("a") as log:
            told = {"behaviour": behaviour, "data": body["data"], "token": self.headers.get("x-hf-authorization")}
            log.write(json.dumps(told) + "\n")
        if behaviour == "503":
            return self.answer({"detail": "the queue is full"}, 503)
        event = uuid.uuid4().hex
        calls[body["session_hash"]] = event, behaviour
        return self.answer({"event_id": event})

    def stream(self, session: str) -> None:
        while session not in calls:
            time.sleep(0.02)
        event, behaviour = calls.pop(session)
        if behaviour == "stream-drip":
            self.drip("text/event-stream")
            return
        self.begin("text/event-stream")
        while behaviour == "stream-endless":
            self.wfile.write(b"data: " + b" " * 100_000)
        self.say({"msg": "estimation", "event_id": event, "rank": 0, "queue_size": 1, "rank_eta": 1.0})
        self.say({"msg": "process_starts", "event_id": event, "eta": 1.0})
        if behaviour == "hang":
            time.sleep(30)
        output: dict = {"data": [self.file("clip.mp4")], "is_generating": False}
        if behaviour == "words":
            output["data"] = ["I have no clip"]
        if behaviour == "text":
            output["data"] = [self.file("clip.txt")]
        if behaviour[0] in '[{"':
            output["data"] = json.loads(behaviour.replace("$HOST", self.headers["Host"]))
        if behaviour == "error":
            output = {"error": "I do not draw that", "visible": True, "duration": 10, "title": "Error"}
        success = behaviour != "error"
        self.say({"msg": "process_completed", "event_id": event, "output": output, "success": success})
        self.say({"msg": "close_stream"})

    def file(self, name: str) -> dict:
        host = self.headers["Host"]
        return {
            "path": f"/srv/{name}", "url": f"http://{host}/gradio_api/file=/srv/{name}", "orig_name": name,
            "size": None, "mime_type": None, "is_stream": False, "meta": {"_type": "gradio.FileData"},
        }  # fmt: skip

    def say(self, message: dict) -> None:
        self.wfile.write(f"data: {json.dumps(message)}\n\n".encode())
        self.wfile.flush()

    def answer(self, found: dict, status: int = 200) -> None:
        self.send(json.dumps(found).encode(), "application/json", status)

    def send(self, data: bytes, kind: str, status: int = 200, encoding: str = "") -> None:
        self.send_response(status)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
