"""The site of a running channel: its death does not affect the playout, and the owner can stop the channel."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from running_channel import Process, channel_file, config_of, wait_for
from site_client import TOKEN

from kinema.channel.demo import free_port
from kinema.channel.lock import holder


def ask(address: str, path: str, method: str = "GET") -> Any:
    asked = urllib.request.Request(address + path, method=method, headers={"authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.loads(answer.read())
    except OSError:
        return None


def pids(file: Path) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"kinema.channel.web.site_process" in words and str(file).encode() in words:
            found.append(int(place.parent.name))
    return found


@pytest.mark.slow
def test_the_site_beside_a_channel_that_runs(tmp_path):
    port = free_port(0)
    file = channel_file(tmp_path)
    file.write_text(re.sub(r"(?m)^port = 0$", f"port = {port}", file.read_text()))
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "kinema", "channel", "start", str(file)]
    channel = Process(command, tmp_path / "fake", KINEMA_CHANNEL_TOKEN=TOKEN)
    try:
        wait_for(lambda: (told := ask(address, "api/now")) and told["on_air"], channel)
        assert f"page {address}" in channel.words()
        root = config_of(file).root
        playout, (site,) = holder(root), pids(file)
        os.kill(site, signal.SIGKILL)
        wait_for(lambda: (now := pids(file)) and now != [site] and ask(address, "api/now"), channel)
        assert holder(root) == playout, "the playout continues"
        assert ask(address, "api/status")["running"] and ask(address, "api/skip", "POST") == {"skip": True}
        assert ask(address, "api/stop", "POST") == {"stopping": True}
        assert channel.popen.wait(60) == 0, channel.words()
        assert holder(root) is None and pids(file) == [] and ask(address, "api/now") is None
    finally:
        channel.popen.terminate()
        channel.popen.wait(60)
        channel.file.close()
