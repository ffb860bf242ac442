"""`kinema channel demo`: its file, its port, and a complete run."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from running_channel import Process, config_of, wait_for

from kinema.channel.demo import PORT, free_port, write_file
from kinema.channel.library import Library
from kinema.channel.lock import holder
from kinema.core.errors import RequestError


def test_the_file_of_the_demo_is_legal_and_kept(tmp_path):
    file = write_file(tmp_path / "tv", 8095)
    config = config_of(file)
    assert (config.page.port, config.making.model) == (8095, "kinema-mini-wan")
    assert config.root == (tmp_path / "tv" / "channel").resolve() and len(config.themes) == 4
    file.write_text(file.read_text().replace("Kinema TV", "My TV"))
    again = config_of(write_file(tmp_path / "tv", 8096))
    assert (again.title, again.page.port) == ("My TV", 8096)


def test_the_port_is_the_one_that_is_named_or_the_first_that_is_free():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RequestError, match="Cannot listen"):
            free_port(port)
    assert free_port(port) == port
    assert free_port(None) >= PORT and free_port(0) > 0


@pytest.mark.slow
def test_it_is_on_air_within_two_minutes_with_page_music_and_filler_and_stops_clean(tmp_path):
    began = time.monotonic()
    folder = tmp_path / "tv"
    command = [sys.executable, "-m", "kinema", "channel", "demo", "--port", "0", "--folder", str(folder)]
    demo = Process(command, tmp_path / "demo")
    try:
        page = wait_for(lambda: re.search(r"page +(http\S+)", demo.words()), demo)[1]
        assert time.monotonic() - began < 120
        assert f"stream  {page}live.m3u8" in demo.words()
        with urllib.request.urlopen(page, timeout=30) as answer:
            assert b"<title>" in answer.read()
        root = folder / "channel"
        wait_for(lambda: list((root / "music").glob("*.m4a")), demo, 600)
        with Library.open(root, create=False) as library:
            assert [line.kind for line in library.as_run()][-1] == "filler", "filler before the first clip"
            wait_for(lambda: library.counts()["ready"] >= 2, demo, 600)
            wait_for(lambda: any(line.kind == "fresh" for line in library.as_run()), demo, 60)
        demo.popen.send_signal(signal.SIGINT)
        assert demo.popen.wait(60) == 0 and "Stopped." in demo.words()
        assert holder(root) is holder(root, "producer") is holder(root, "channel") is None
        left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False).stdout
        assert str(folder) not in left, "no process is left behind"
    finally:
        if demo.popen.poll() is None:
            os.kill(demo.popen.pid, signal.SIGTERM)
            demo.popen.wait(60)
        demo.file.close()
