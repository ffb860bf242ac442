"""Real ingest servers for the tests, on free ports, each in its own folder; skips if one is not installed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=30.0, every=0.05):
    """Wait until the condition is true and return its value; fail the test after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(every)
    return found


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Nginx:
    """nginx-rtmp that records every session to a separate file."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("nginx") is None or not MODULE.is_file():
            pytest.skip("cannot start nginx-rtmp: apt-get install nginx-light libnginx-mod-rtmp")
        self.folder, self.port = folder, free_port()
        self.records = folder / "records"
        self.records.mkdir(parents=True)
        self.records.chmod(0o777)
        temps = "".join(
            f"{kind}_temp_path {folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"load_module {MODULE}; {'user root;' if os.geteuid() == 0 else ''} worker_processes 1; daemon off; "
            f"pid {folder}/nginx.pid; error_log {folder}/error.log; events {{ worker_connections 64; }} "
            f"http {{ access_log off; {temps} }} "
            f"rtmp {{ server {{ listen 127.0.0.1:{self.port}; chunk_size 4096; access_log off; application live {{ "
            f"live on; record all; record_path {self.records}; record_unique on; }} }} }}\n"
        )
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["nginx", "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: answers(self.port))

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
                self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def url(self, key: str) -> str:
        return f"rtmp://127.0.0.1:{self.port}/live/{key}"

    def recorded(self) -> list[Path]:
        return sorted(self.records.glob("*.flv"), key=lambda path: path.stat().st_mtime)


class NodeMediaServer:
    def __init__(self, folder: Path) -> None:
        server = Path(os.environ.get("KINEMA_NODE_MODULES", "node_modules")) / "node-media-server"
        if shutil.which("node") is None or not (server / "bin/app.js").is_file():
            pytest.skip(
                "cannot start node-media-server: npm i node-media-server@4.4.3, KINEMA_NODE_MODULES names where"
            )
        folder.mkdir(parents=True)
        self.rtmp, self.http = free_port(), free_port()
        settings = {
            "bind": "127.0.0.1", "notify": {"url": ""}, "auth": {"play": False, "publish": False, "secret": "x"},
            "rtmp": {"port": self.rtmp}, "http": {"port": self.http}, "static": {"router": "/", "root": str(folder)},
            "record": {"path": str(folder)},
        }  # fmt: skip
        config = folder / "nms.json"
        config.write_text(json.dumps(settings))
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            ["node", str(server / "bin/app.js"), "-c", str(config), "--no-admin"],
            cwd=folder, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: answers(self.rtmp) and answers(self.http), 60)

    def url(self, key: str) -> str:
        return f"rtmp://127.0.0.1:{self.rtmp}/live/{key}"

    def view(self, key: str, num_bytes: int) -> bytes:
        """The first bytes that an HTTP-FLV viewer receives."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/live/{key}.flv", timeout=60) as answer:
            data = b""
            while len(data) < num_bytes and (part := answer.read(16384)):
                data += part
        return data

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()
