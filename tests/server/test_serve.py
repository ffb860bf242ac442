"""`kinema serve` as a process: it starts, plans in a process of its own, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from kinema.core.errors import RequestError
from kinema.server.discovery import announced
from kinema.server.process import Serving, serve
from kinema.server.settings import ServerSettings

TOKEN = "a token of twenty and more letters"


class Process:
    """A running `kinema serve` with a home of its own."""

    def __init__(self, home: Path, *words: str, **environment: str) -> None:
        command = [sys.executable, "-m", "kinema", "serve", "--port", "0", "--workers", "0", *words]
        self.popen = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, "KINEMA_HOME": str(home), **environment}
        )
        self.said = self.popen.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", self.said)
        assert found, self.said + self.popen.stderr.read()
        self.url, self.port = found[0].rstrip("/"), int(found[1])

    def ask(self, path: str, body=None, token: str = "") -> tuple[int, dict]:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def end(self, number: int) -> int:
        """Send a signal; the exit code. Its children have to end too."""
        children = psutil.Process(self.popen.pid).children(recursive=True)
        self.popen.send_signal(number)
        code = self.popen.wait(30)
        self.popen.stderr.close()
        assert psutil.wait_procs(children, 10)[1] == []
        return code


def test_it_serves_plans_and_leaves_nothing(tmp_path):
    home = tmp_path / "home"
    note = home / "server" / "server.json"
    one = Process(home)
    try:
        told = json.loads(note.read_text())
        assert (told["url"], told["pid"], told["token"]) == (one.url, one.popen.pid, None)
        assert stat.S_IMODE(note.stat().st_mode) == 0o600
        assert one.ask("/healthz") == (200, {"kinema": "server", "version": told["version"], "pid": one.popen.pid})
        status, plan = one.ask("/plan", {"prompt": "a red ball", "seed": 1})
        assert (status, plan["frames"]) == (200, 17)
        status, job = one.ask("/jobs", {"kind": "clip", "body": {"prompt": "a red ball", "seed": 1}})
        assert (status, job["state"]) == (201, "queued")
        stream = urllib.request.urlopen(f"{one.url}/jobs/{job['id']}/events", timeout=30)
        assert stream.readline() == b"retry: 1000\n"
        if Path("/proc/net/tcp").exists():
            os.environ["KINEMA_HOME"], before = str(home), os.environ.get("KINEMA_HOME")
            try:
                with pytest.raises(RequestError, match=f"in use by process {one.popen.pid}"):
                    serve(Serving(port=one.port), ServerSettings(workers=0), print)
            finally:
                os.environ.pop("KINEMA_HOME") if before is None else os.environ.update(KINEMA_HOME=before)
        began = time.monotonic()
        assert one.end(signal.SIGINT) == 0 and time.monotonic() - began < 20
        assert b"event: state" in stream.read()  # the stream ended in order
        assert sorted(path.name for path in (home / "server").iterdir()) == ["jobs.sqlite"]
    finally:
        one.popen.kill()


@pytest.mark.slow
def test_it_ends_by_sigterm_and_replaces_the_note_of_a_killed_one(tmp_path):
    home = tmp_path / "home"
    note = home / "server" / "server.json"
    killed = Process(home, "--token-env", "T", T=TOKEN)
    assert killed.ask("/jobs")[0] == 401 and killed.ask("/jobs", token=TOKEN)[0] == 200
    assert json.loads(note.read_text())["token"] == TOKEN
    killed.popen.kill()
    killed.popen.wait()
    assert note.exists()
    one, other = Process(home), Process(home)
    assert json.loads(note.read_text())["url"] == one.url  # the first one that runs keeps it
    assert other.end(signal.SIGTERM) == 0 and note.exists()
    assert one.end(signal.SIGTERM) == 0 and not note.exists()


def test_what_never_listens(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(RequestError, match=r"requires a token.*--token-env"):
            serve(Serving(host, 0), ServerSettings(workers=0), print)
    with pytest.raises(RequestError, match="token"):
        serve(Serving(port=0), ServerSettings(workers=0, token="short"), print)
    for model in ("no-such-model", "python:os:system", "wan2.1-t2v-14b"):
        with pytest.raises(RequestError) as error:
            serve(Serving(port=0), ServerSettings(workers=0, models=(model,)), print)
        assert error.value.field == "model"
        with pytest.raises(RequestError) as error:
            serve(Serving(port=0, warm=(model,)), ServerSettings(workers=0), print)
        assert error.value.field == "warm"
    with pytest.raises(RequestError, match="Cannot listen"):
        serve(Serving("203.0.113.250", 0), ServerSettings(workers=0, token=TOKEN), print)
    assert not (tmp_path / "server" / "server.json").exists()


def test_a_note_of_a_process_that_is_gone_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    path = tmp_path / "server" / "server.json"
    path.parent.mkdir()
    for stale in (
        '{"pid": 4194305}',
        "{}",
        "[",
        '{"pid": true}',
        "",
        '{"pid": 1, "url": 5}',
        '{"pid": 1, "url": "http://127.0.0.1:1"}',
        '{"pid": 1, "url": "http://[::"}',
    ):
        path.write_text(stale)
        with announced("http://127.0.0.1:1", "1", None):
            assert json.loads(path.read_text())["pid"] == os.getpid()
        assert not path.exists()
