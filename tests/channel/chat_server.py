"""A language model server with failures (stub_server.py), started as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kinema.http.chat import Chat, Endpoint

KEY = "sk-secret-0123456789"
ALL = "json_schema,json_object,text"


class Server:
    """A running stub; `asked()` returns the requests."""

    def __init__(self, log: Path, formats: str, behaviours: tuple[str, ...]) -> None:
        self.log = log
        script = Path(__file__).with_name("stub_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(log), formats, *behaviours], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/v1"

    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def chat(self, **settings: Any) -> Chat:
        endpoint = Endpoint(base_url=self.url, model="stub", **{"key_env": "STUB_KEY", "timeout_s": 5, **settings})
        self.pauses: list[float] = []
        return Chat(endpoint, sleep=self.pauses.append, environ={"STUB_KEY": KEY})

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
