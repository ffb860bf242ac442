"""What a viewer notices of each fault: a real channel at real time, real servers, a real browser.

    python benchmarks/channel_faults.py [--only NAME] [--modules node_modules]

A supervised channel (576x320, 24 fps, 2 s segments) with an RTMP server is on air; faults are made one after the other.
Two viewers watch its HLS through a plain web server: a model (plays three segments behind the end, as hls.js does, and
counts each moment at which its next segment is not there) and, where puppeteer-core, hls.js and Chromium are, the real
hls.js. The table says how often each stood still while the fault lasted and for 12 s after it, what hls.js dropped, and
how long the output clock stood.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "channel"))
from channel_cost import ENCODING, fill
from ingest import Nginx, wait_for

from kinema.channel.airing.guide import status
from kinema.channel.airing.playout import Settings
from kinema.channel.airing.supervisor import Supervisor
from kinema.channel.library import Library

AFTER_S = 12.0


class Quiet(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Model(threading.Thread):
    """Starts three segments behind the end, plays in real time, looks at the playlist every second."""

    def __init__(self, on_air: Path) -> None:
        super().__init__(daemon=True)
        self.on_air, self.stalls, self.stalled_s, self.lost = on_air, 0, 0.0, 0
        self.newest = 0

    def run(self) -> None:
        first, listed = self._listed()
        have = max(first, first + listed - 3)  # the segment that plays
        playing_until, stalled = time.monotonic() + 2.0, False
        while True:
            time.sleep(0.05)
            if time.monotonic() < playing_until:
                continue
            first, listed = self._listed()
            if have + 1 < first:
                self.lost += first - have - 1
                have = first - 1
            if have + 1 < first + listed:
                have += 1
                if stalled:
                    self.stalled_s += time.monotonic() - playing_until
                    playing_until = time.monotonic()
                playing_until, stalled = playing_until + 2.0, False
            elif not stalled:
                self.stalls, stalled = self.stalls + 1, True

    def _listed(self) -> tuple[int, int]:
        text = (self.on_air / "live.m3u8").read_text()
        self.newest = int(re.search(r"SEQUENCE:(\d+)", text)[1]) + text.count("#EXTINF")
        return self.newest - text.count("#EXTINF"), text.count("#EXTINF")


class Browser:
    def __init__(self, url: str, modules: Path) -> None:
        script = Path(__file__).with_name("channel_viewer.mjs")
        self.last: dict = {}
        self.process = subprocess.Popen(
            ["node", str(script), url, str(modules.resolve()), shutil.which("chromium")], stdout=subprocess.PIPE
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for row in self.process.stdout:
            self.last = json.loads(row)


class Bench:
    def __init__(self, modules: Path) -> None:
        self.work = Path(tempfile.mkdtemp())
        self.folder = self.work / "channel"
        disk = self.work / "disk"
        disk.mkdir()
        small = (
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=False).returncode == 0
        )
        self.disk = disk if small else None
        self.clips = fill(self.folder)
        if small:
            (self.folder / "on_air").rmdir()
            (self.folder / "on_air").symlink_to(disk)
        self.nginx = Nginx(self.work / "nginx")
        settings = Settings(name="Fault TV", encoding=ENCODING, rtmp=[self.nginx.url("key")], rtmp_stall_s=5)
        self.supervisor = Supervisor(self.folder, settings)
        threading.Thread(target=self.supervisor.run, daemon=True).start()
        wait_for(lambda: (self.folder / "on_air" / "live.m3u8").exists(), 120)
        handler = functools.partial(Quiet, directory=str(self.folder / "on_air"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        time.sleep(8)
        self.model = Model(self.folder / "on_air")
        self.model.start()
        self.browser = None
        if shutil.which("node") and shutil.which("chromium") and (modules / "hls.js").is_dir():
            url = f"http://127.0.0.1:{self.server.server_port}/index.m3u8"
            self.browser = Browser(url, modules)
            wait_for(lambda: self.browser.last.get("frames", 0) > 48, 120)
        time.sleep(5)

    def status(self) -> dict:
        return status(self.folder) or {}

    def row(self, name: str, fault: Callable[[Bench], str]) -> None:
        stalls, lost = self.model.stalls, self.model.lost
        seen = dict(self.browser.last) if self.browser else {}
        stood = self._watch_output()
        note = fault(self)
        time.sleep(AFTER_S)
        longest = stood()
        viewer = "-"
        if self.browser:
            now = self.browser.last
            viewer = f"{now['waiting'] - seen['waiting']} / {now['dropped'] - seen['dropped']}"
            note += f"; {now['frames'] - seen['frames']} frames shown"
        model = f"{self.model.stalls - stalls} / {self.model.lost - lost}"
        print(f"| {name} | {model} | {viewer} | {longest:.1f} | {note} |", flush=True)

    def _watch_output(self) -> Callable[[], float]:
        """The longest time between two new segments, less a segment."""
        end, longest, last = threading.Event(), [0.0], [time.monotonic()]

        def watch() -> None:
            on_air, newest = self.folder / "on_air", -1
            while not end.wait(0.05):
                found = max((path.name for path in on_air.glob("s*.ts")), default="")
                if found != newest:
                    newest, last[0] = found, time.monotonic()
                longest[0] = max(longest[0], time.monotonic() - last[0] - 2.0)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()

        def done() -> float:
            end.set()
            thread.join()
            return longest[0]

        return done

    def close(self) -> None:
        self.supervisor.stop()
        if self.browser:
            self.browser.process.terminate()
        time.sleep(5)
        self.nginx.stop()
        if self.disk:
            subprocess.run(["umount", "-l", str(self.disk)], check=False)
        shutil.rmtree(self.work, ignore_errors=True)


def nothing(bench: Bench) -> str:
    time.sleep(12)
    return "for comparison"


def killed(bench: Bench) -> str:
    process, frame = bench.supervisor.process, bench.supervisor.frame
    began = time.monotonic()
    process.kill()
    wait_for(lambda: bench.supervisor.frame > frame + 24)
    return f"its frame counter went on after {time.monotonic() - began:.1f} s"


def frozen(bench: Bench) -> str:
    process, frame = bench.supervisor.process, bench.supervisor.frame
    began = time.monotonic()
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(lambda: bench.supervisor.frame > frame + 48, 60)
    return f"noticed, killed, on again after {time.monotonic() - began:.1f} s"


def server_killed(bench: Bench) -> str:
    bench.nginx.stop()
    time.sleep(3)
    bench.nginx.start()
    began = time.monotonic()
    wait_for(lambda: bench.status()["outputs"][1]["state"] == "on air", 60)
    return (
        f"RTMP on air {time.monotonic() - began:.1f} s after it was back; late frames {bench.status()['late_frames']}"
    )


def server_frozen(bench: Bench) -> str:
    bench.nginx.signal(signal.SIGSTOP)
    time.sleep(15)
    bench.nginx.signal(signal.SIGCONT)
    wait_for(lambda: bench.status()["outputs"][1]["state"] == "on air", 60)
    said = bench.status()
    return f"sidecars started {said['outputs'][1]['starts']}; late frames {said['late_frames']}"


def harmed_clips(bench: Bench) -> str:
    one, two, three = bench.clips[:3]
    one.path.unlink()
    two.path.write_bytes(two.path.read_bytes()[:20_000])
    shutil.copy(bench.clips[4].path, three.path)
    time.sleep(20)
    with Library(bench.folder) as library:
        broken = library.counts()["broken"]
    return f"{broken:.0f} of 3 found broken and left out"


def disk_full(bench: Bench) -> str:
    if bench.disk is None:
        return "cannot start: no right to mount a small disk"
    ballast = bench.disk / "ballast"
    end = time.monotonic() + 6
    with ballast.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        while time.monotonic() < end:  # what the channel frees by deleting old segments is taken as well
            with contextlib.suppress(OSError):
                file.write(bytes(16384))
            time.sleep(0.002)
    said = bench.status()["outputs"][0]
    ballast.unlink()
    return f"{said['state']}, {said['waiting']} segments in memory"


def database_locked(bench: Bench) -> str:
    other = sqlite3.connect(bench.folder / "library.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    time.sleep(30)
    said = bench.status()
    other.execute("ROLLBACK")
    return f"30 s; {said['notes_waiting']} notes waited"


def database_gone(bench: Bench) -> str:
    file = bench.folder / "library.db"
    file.rename(bench.work / "away.db")
    time.sleep(30)
    said = bench.status()
    (bench.work / "away.db").rename(file)
    return f"30 s; {said['library'][-22:]}, stock {said['stock']}"


def second_playout(bench: Bench) -> str:
    command = [sys.executable, "-m", "kinema.channel.airing.playout", str(bench.folder)]
    run = subprocess.run(command, capture_output=True, check=False)
    return f"the second ended with code {run.returncode}"


def no_clips(bench: Bench) -> str:
    with Library(bench.folder) as library:
        for clip in library.ready():
            library.ban(clip.id, "fault")
        time.sleep(15)
        kind = bench.status()["clip"]["kind"]
        for clip in library.clips():
            library.allow(clip.id)
    return f"on air: {kind}"


FAULTS: dict[str, Callable[[Bench], str]] = {
    "nothing": nothing,
    "playout killed (-9)": killed,
    "playout frozen (SIGSTOP)": frozen,
    "RTMP server killed 3 s": server_killed,
    "RTMP server frozen 15 s": server_frozen,
    "clips deleted, truncated, replaced": harmed_clips,
    "disk full 6 s": disk_full,
    "database locked 30 s": database_locked,
    "database gone 30 s": database_gone,
    "a second playout": second_playout,
    "no clip left": no_clips,
}


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--only", choices=FAULTS)
    reader.add_argument("--modules", type=Path, default=Path("node_modules"))
    options = reader.parse_args()
    bench = Bench(options.modules)
    print("| fault | model: stalls / lost segments | hls.js: stalls / dropped frames | longest hole, s | |")
    print("|---|---|---|---|---|")
    try:
        for name, fault in FAULTS.items():
            if options.only in (None, name):
                bench.row(name, fault)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
