"""The watch page in a real browser with a real channel: a playout process, a site process, Chromium."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chromium import chromium
from on_air import fill
from running_channel import Process, wait_for

from kinema.channel.airing.guide import on_at
from kinema.channel.conform import Encoding
from kinema.channel.library import Library
from kinema.channel.lock import holder
from kinema.channel.making.ledger import Ledger

SIZE = Encoding(width=192, height=108, fps=24, gop=24, preset="ultrafast")
STATE = """() => {
  const get = (id) => document.getElementById(id), video = get("video"), now = get("now");
  const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
  return {
    state: get("screen").dataset.state, time: video.currentTime, frames: totalVideoFrames, dropped: droppedVideoFrames,
    id: now.dataset.id, at: Number(now.dataset.at), kind: now.dataset.kind, title: get("now-title").textContent,
    lamp: get("lamp-text").textContent, watching: get("watching").textContent, stalls: window.stalls,
  };
}"""
COUNT = "() => { window.stalls = 0; for (const name of ['waiting', 'stalled']) " \
    "document.getElementById('video').addEventListener(name, () => { window.stalls += 1; }); }"  # fmt: skip


@pytest.fixture
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def channel(tmp_path):
    """A channel on air: its folder, the address of its site, and the site."""
    file = tmp_path / "channel.toml"
    file.write_text('title = "Test TV"\ntheme = "the sea"\n[page]\nport = 0\n[database]\nurl = "sqlite"\n')
    folder = tmp_path / "channel"
    fill(folder, 4, encoding=SIZE, theme="the sea", prompt="a red ball rolls left over the sea; flat style")
    size = [str(folder), str(SIZE.width), str(SIZE.height)]
    playout = Process([sys.executable, str(Path(__file__).with_name("kept_playout.py")), *size], tmp_path / "playout")
    page = site(file, 0)
    try:
        wait_for((folder / "on_air" / "index.m3u8").is_file, playout)
        address = wait_for(lambda: re.search(r"page (http\S+)", page.words()), page)[1]
        yield folder, address, page
    finally:
        for process in (page, playout):
            process.popen.terminate()
        for process in (page, playout):
            try:
                process.popen.wait(30)
            except subprocess.TimeoutExpired:
                process.popen.kill()
            process.file.close()


def site(file: Path, port: int) -> Process:
    command = [sys.executable, "-m", "kinema.channel.web.site_process", str(file), "--port", str(port)]
    return Process(command, file.with_name(f"page-{port}"))


class Viewer:
    """A tab with the page, its requests, its console errors and the segments it received."""

    def __init__(self, browser, address: str, **how) -> None:
        self.address, self.asked, self.complaints, self.segments = address, [], [], []
        self.tab = browser.new_context(**how).new_page()
        self.tab.on("request", lambda asked: self.asked.append(asked.url))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        self.tab.on("response", self._got)
        self.tab.goto(address)
        self.until(lambda said: said["state"] == "playing" and said["time"] > 0 and said["at"], 120)
        self.tab.evaluate(COUNT)

    def _got(self, answer) -> None:
        if found := re.search(r"/s(\d{9})\.ts", answer.url):
            self.segments.append((int(found[1]), answer.status))

    def said(self) -> dict:
        return self.tab.evaluate(STATE)

    def until(self, what, patience_s: float = 60) -> dict:
        end = time.monotonic() + patience_s
        while True:
            said = self.said()
            if what(said):
                return said
            assert time.monotonic() < end, (said, self.complaints)
            self.tab.wait_for_timeout(100)

    def watch(self, seconds: float, folder: Path, meanwhile=lambda elapsed_s: None) -> tuple[dict, dict, set[str]]:
        """Watch, and compare each title with the airing at the picture's date; (first, last, titles). The page learns
        of a new airing some seconds late; on a machine under load the picture may be earlier."""
        first, began, titles, wrong, num = self.said(), time.monotonic(), set(), [], 0
        while (elapsed_s := time.monotonic() - began) < seconds:
            meanwhile(elapsed_s)
            said = self.said()
            with Library.open(folder, create=False) as library:
                line = on_at(library.as_run(), said["at"])
            num += 1
            if line is None or said["id"] != line.id:
                wrong.append((said["at"], said["id"], line))
            else:
                assert said["title"] == ("Test TV" if line.kind == "filler" else line.title)
                titles.add(said["title"])
            self.tab.wait_for_timeout(500)
        assert num >= 5 and len(wrong) <= max(1, 0.1 * num), wrong
        last = self.said()
        last["seconds"] = time.monotonic() - began
        return first, last, titles

    def check(self, first: dict, last: dict) -> None:
        """No stalls, no missing segments, real-time playback, no requests to other sites."""
        assert last["stalls"] == 0 and last["state"] == "playing"
        assert abs((last["time"] - first["time"]) - last["seconds"]) < 1.5
        assert last["frames"] - first["frames"] > 20 * last["seconds"]
        assert last["dropped"] - first["dropped"] < 0.2 * (last["frames"] - first["frames"]), "under load, too"
        numbers = [number for number, _ in self.segments]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "segments in a row, each once"
        assert {status for _, status in self.segments} == {200}
        assert all(url.startswith((self.address, "blob:", "data:")) for url in self.asked)
        assert self.complaints == []


@pytest.mark.parametrize(("seconds", "titles"), [(6, 2), pytest.param(20, 3, marks=pytest.mark.slow)])
def test_the_page_plays_and_says_what_is_on(channel, browser, seconds, titles):
    folder, address, _ = channel
    viewer = Viewer(browser, address, color_scheme="light")
    first, last, shown = viewer.watch(seconds, folder)
    viewer.check(first, last)
    assert len(shown) >= titles, "the title changes with the picture"
    assert (last["lamp"], last["watching"]) == ("On air", "1 watching")

    tab = viewer.tab
    assert tab.evaluate("() => document.getElementById('video').muted")
    tab.click("#unmute")
    assert not tab.evaluate("() => document.getElementById('video').muted") and tab.is_hidden("#unmute")
    tab.keyboard.press("m")
    assert tab.evaluate("() => document.getElementById('video').muted")
    ground = tab.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    tab.click("#look")
    assert tab.evaluate("() => getComputedStyle(document.documentElement).backgroundColor") != ground

    tab.fill("#theme", "a race of cars")
    tab.keyboard.press("Enter")
    tab.get_by_text("Thank you! Your suggestion is next").wait_for(timeout=30_000)
    with Ledger(folder) as ledger:
        assert ledger.suggested()[1] == "a race of cars"
    tab.fill("#theme", "p0rn")
    tab.click("#send")
    tab.get_by_text("blocked word").wait_for(timeout=30_000)
    viewer.complaints.clear()  # the browser logs the refusal
    tab.set_viewport_size({"width": 360, "height": 740})
    assert tab.evaluate("() => document.documentElement.scrollWidth") == 360, "a phone does not scroll sideways"


@pytest.mark.slow
def test_a_minute_with_the_playout_killed_in_the_middle(channel, browser):
    folder, address, _ = channel
    viewer = Viewer(browser, address)
    killed: list[int] = []

    def meanwhile(elapsed_s: float) -> None:
        if elapsed_s > 25 and not killed:
            killed.append(holder(folder))
            os.kill(killed[0], signal.SIGKILL)

    first, last, titles = viewer.watch(75, folder, meanwhile)
    viewer.check(first, last)
    assert killed and holder(folder) not in (None, killed[0]) and len(titles) >= 3


@pytest.mark.slow
def test_the_picture_comes_back_after_the_site_was_gone(channel, browser, tmp_path):
    _, address, page = channel
    viewer = Viewer(browser, address)
    page.popen.kill()
    viewer.until(lambda said: said["lamp"] == "No connection" and said["state"] in ("waiting", "lost"), 90)
    again = site(tmp_path / "channel.toml", int(address.rstrip("/").rpartition(":")[2]))
    try:
        viewer.until(lambda said: said["lamp"] == "On air" and said["state"] == "playing", 90)
        before = viewer.said()["time"]
        viewer.until(lambda said: said["time"] > before + 5, 60)
    finally:
        again.popen.terminate()
        again.popen.wait(30)
        again.file.close()
