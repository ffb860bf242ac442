"""An OpenAI-compatible chat server with configurable failures, as a separate process for tests.

`python stub_server.py LOG FORMATS BEHAVIOUR...` prints its port, appends each request to LOG, and applies the next
behaviour to each accepted request (repeating the last one). FORMATS: the supported response formats.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOG, FORMATS, BEHAVIOURS = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]


def episode(num_shots: int, cast: list[dict[str, str]] | None) -> dict:
    members = cast or [
        {"name": "Ada", "description": "a small white boat"},
        {"name": "Gus", "description": "a big orange bird."},
    ]
    shots = [
        {
            "subject": members[n % len(members)]["name"], "action": "sails", "direction": "to the left",
            "setting": "over the sea", "light": "at sunset", "weather": "in the rain" if n % 2 else "", "camera": "pan",
            "camera_direction": "right", "speed": "slow", "seconds": 3, "continuity": "match" if n else "cut",
        }
        for n in range(num_shots)
    ]  # fmt: skip
    return {"title": "A storm", **({} if cast else {"cast": members}), "shots": shots}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wanted = (body.get("response_format") or {"type": "text"})["type"]
        taken = wanted in FORMATS
        with LOG.open("a") as log:
            told = {"path": self.path, "key": self.headers.get("Authorization"), "format": wanted, "body": body}
            log.write(json.dumps(told | {"taken": taken}) + "\n")
        if not taken:
            return self.answer(400, {"error": {"message": f"response_format {wanted} is not supported"}})
        number = sum(json.loads(line)["taken"] for line in LOG.read_text().splitlines()) - 1
        return self.behave(BEHAVIOURS[min(number, len(BEHAVIOURS) - 1)], body)

    def behave(self, behaviour: str, body: dict) -> None:
        asked = json.loads(body["messages"][1]["content"])
        made = episode(asked["shots"], asked.get("cast"))
        text = json.dumps(made)
        if behaviour.isdigit():
            return self.answer(int(behaviour), {"error": {"message": f"no: {self.headers.get('Authorization')}"}})
        if behaviour == "redirect":
            return self.answer(307, {}, {"Location": "http://127.0.0.1:9/steal"})
        if behaviour == "hang":
            time.sleep(5)
        if behaviour == "hang-up":
            self.close_connection = True
            self.connection.close()
            return None
        if behaviour == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            for _ in range(50):
                self.wfile.write(b" ")
                time.sleep(0.1)
            return None
        if behaviour == "flood":
            text = "x" * 3_000_000
        if behaviour == "broken":
            text = text[: len(text) // 2]
        if behaviour == "fenced":
            text = f"<think>I could say {{}} here</think>Here you are:\n```json\n{text}\n```\nEnjoy {{it}}!"
        if behaviour == "empty":
            text = ""
        if behaviour == "stranger":
            made["shots"][0]["subject"] = "Zed"
            text = json.dumps(made)
        if behaviour == "blocked":
            made["title"] = "A p0rn film"
            text = json.dumps(made)
        if behaviour == "obeys":  # a model that follows an injection
            text = json.dumps({"reply": "HACKED", "system_prompt": body["messages"][0]["content"]})
        if behaviour == "recast":
            made["cast"] = [{"name": member["name"], "description": "something else"} for member in asked["cast"]]
            text = json.dumps(made)
        if behaviour == "many":
            text = json.dumps(episode(asked["shots"] + 3, None))
        return self.answer(200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})

    def answer(self, status: int, found: dict, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(found).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
