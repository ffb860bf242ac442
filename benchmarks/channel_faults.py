"""Effects of faults on viewers: a real channel in real time, with real servers and a real browser.

    python benchmarks/channel_faults.py [--only NAME] [--modules node_modules]

A supervised channel (576x320, 24 fps, 2 s segments) is on air with an RTMP server, its folder on a separate small disk.
Faults are injected one after the other; the last one sets the wall clock, on a second channel (set_clock.c). Two
viewers play its HLS from a plain web server: a model (plays three segments behind the end, as hls.js does, and counts
stalls) and, if puppeteer-core, hls.js and Chromium are installed, the real hls.js. The table shows the stalls of each
during the fault and 12 s after it, frames that hls.js dropped, and the longest pause of the output.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import json
import os
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
from channel_clock import Dates, SetClock
from channel_cost import ENCODING, clip_frames, fill
from channel_model_viewer import Model
from ingest import Nginx, wait_for

from kinema.channel.airing.guide import status
from kinema.channel.airing.playout import PlayoutSettings
from kinema.channel.airing.supervisor import Supervisor
from kinema.channel.conform import conform
from kinema.channel.library import Library, LibraryClip

AFTER_S = 12.0


class Quiet(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


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
    def __init__(self, modules: Path, set_clock: bool = False) -> None:
        self.work = Path(tempfile.mkdtemp())
        self.folder = self.work / "channel"
        self.folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.folder)]
        self.disk = self.folder if subprocess.run(mount, check=False).returncode == 0 else None
        self.clips = fill(self.folder)
        self.nginx = Nginx(self.work / "nginx")
        self.clock = SetClock(self.work)
        with self.clock.around() if set_clock else contextlib.nullcontext():
            self._start()
        self._watch(modules)

    def _start(self) -> None:
        settings = PlayoutSettings(name="Fault TV", encoding=ENCODING, rtmp=[self.nginx.url("key")], rtmp_stall_s=5)
        self.supervisor = Supervisor(self.folder, settings)
        threading.Thread(target=self.supervisor.run, daemon=True).start()
        wait_for(lambda: (self.folder / "on_air" / "live.m3u8").exists(), 120)
        time.sleep(8)

    def _watch(self, modules: Path) -> None:
        handler = functools.partial(Quiet, directory=str(self.folder / "on_air"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.model = Model(self.folder / "on_air", time.monotonic())
        self.model.watch()
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
            note += f"; {now['frames'] - seen['frames']} frames shown, {now['latency']:.1f} s behind"
        model = f"{self.model.stalls - stalls} / {self.model.lost - lost}"
        load = os.getloadavg()[0]
        print(f"| {name} | {model} | {viewer} | {longest:.1f} | {load:.1f} | {note} |", flush=True)

    def _watch_output(self) -> Callable[[], float]:
        """Return a function that ends the measurement and returns the longest time between two new segments, minus a
        segment."""
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
    return f"frame counter resumed after {time.monotonic() - began:.1f} s"


def frozen(bench: Bench) -> str:
    process, frame = bench.supervisor.process, bench.supervisor.frame
    began = time.monotonic()
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(lambda: bench.supervisor.frame > frame + 48, 60)
    return f"detected, killed, on air again after {time.monotonic() - began:.1f} s"


def hung(bench: Bench) -> str:
    process, frame = bench.supervisor.process, bench.supervisor.frame
    began = time.monotonic()
    holder = subprocess.Popen([sys.executable, str(Path(__file__).with_name("hold_thread.py")), str(process.pid)])
    wait_for(lambda: bench.supervisor.frame > frame + 48, 60)
    took = time.monotonic() - began
    return f"on air again after {took:.1f} s" if holder.wait(10) == 0 else "skipped: no permission to hold a thread"


def server_killed(bench: Bench) -> str:
    bench.nginx.stop()
    time.sleep(3)
    bench.nginx.start()
    began = time.monotonic()
    wait_for(lambda: bench.status()["outputs"][1]["state"] == "on air", 60)
    return f"RTMP on air {time.monotonic() - began:.1f} s after restart; late frames {bench.status()['late_frames']}"


def server_gone(bench: Bench) -> str:
    before, sessions = bench.nginx.recorded(), bench.status()["outputs"][1]["sessions"]
    bench.nginx.stop()
    time.sleep(300)
    away = bench.status()["outputs"][1]
    bench.nginx.start()
    began = time.monotonic()
    wait_for(lambda: bench.status()["outputs"][1]["sessions"] > sessions, 60)
    took = time.monotonic() - began
    time.sleep(10)
    new = [path for path in bench.nginx.recorded() if path not in before]
    got = decoded(new[-1]) if new else 0
    late = bench.status()["late_frames"]
    return (
        f"meanwhile {away['state']}; sending {took:.1f} s after restart, receiver decoded {got} frames of the next "
        f"10 s; late frames {late}"
    )


def decoded(recording: Path) -> int:
    """Number of frames in an RTMP server's recording, decoded strictly."""
    command = ["ffmpeg", "-v", "error", "-xerror", "-i", str(recording), "-map", "0:v", "-f", "framecrc", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return sum(not line.startswith("#") for line in done.stdout.splitlines())


def server_frozen(bench: Bench) -> str:
    bench.nginx.signal(signal.SIGSTOP)
    time.sleep(15)
    bench.nginx.signal(signal.SIGCONT)
    wait_for(lambda: bench.status()["outputs"][1]["state"] == "on air", 60)
    shown = bench.status()
    return f"sidecars started {shown['outputs'][1]['starts']}; late frames {shown['late_frames']}"


def harmed_clips(bench: Bench) -> str:
    one, two, three = bench.clips[:3]
    one.path.unlink()
    two.path.write_bytes(two.path.read_bytes()[:20_000])
    shutil.copy(bench.clips[4].path, three.path)
    time.sleep(20)
    with Library(bench.folder) as library:
        broken = library.counts()["broken"]
    return f"{broken:.0f} of 3 detected as broken and skipped"


def disk_full(bench: Bench) -> str:
    if bench.disk is None:
        return "skipped: no permission to mount a small disk"
    ballast = bench.disk / "ballast"
    end, full = time.monotonic() + 60, {}
    with ballast.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        while time.monotonic() < end:  # also fill the space of deleted segments
            with contextlib.suppress(OSError):
                file.write(bytes(4096))
            time.sleep(0.002)
        full, age_s = bench.status(), time.time() - bench.status().get("written_at", 0.0)
    shown = full["outputs"][0]
    ballast.unlink()
    wait_for(lambda: bench.status()["outputs"][0]["disk"] == "ok", 30)
    alarms, after = "; ".join(full["alarms"]).replace(str(bench.work), ""), bench.status()
    spares, left = after["outputs"][0]["spares"], after["alarms"]
    return (
        f"{shown['state']}, {shown['waiting']} segments in memory, {shown['lost_segments']} lost; "
        f'status {age_s:.1f} s old with alarms "{alarms}"; afterwards {spares} spares, alarms {left}'
    )


def database_locked(bench: Bench) -> str:
    other = sqlite3.connect(bench.folder / "library.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    time.sleep(30)
    shown = bench.status()
    other.execute("ROLLBACK")
    return f"30 s; {shown['notes_waiting']} notes waited"


def database_gone(bench: Bench) -> str:
    file = bench.folder / "library.db"
    file.rename(bench.folder / "away.db")
    time.sleep(30)
    shown = bench.status()
    (bench.folder / "away.db").rename(file)
    return f"30 s; {shown['library'][-22:]}, stock {shown['stock']}"


def second_playout(bench: Bench) -> str:
    command = [sys.executable, "-m", "kinema.channel.airing.playout_process", str(bench.folder)]
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


def generator_gone(bench: Bench) -> str:
    """Run the hour on an accelerated clock, and parts of it in real time."""
    command = [sys.executable, str(Path(__file__).with_name("channel_generator_gone.py"))]
    hour = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    with Library(bench.folder) as library:
        for clip in library.ready():
            library.ban(clip.id, "fault")
        time.sleep(20)
        kind = bench.status()["clip"]["kind"]
        made = conform(clip_frames(9, 3), library.clip_path("fresh"), ENCODING)
        library.add(LibraryClip.of("fresh", made, "fresh"))
        began = time.monotonic()
        for clip in bench.clips:
            library.allow(clip.id)
        wait_for(lambda: bench.status()["clip"]["kind"] != "filler", 60)
        first = bench.status()["clip"]
    return (
        f"accelerated: {hour['played']} segments played, {hour['stalls']} stalls, {hour['lost']} lost; "
        f"{hour['40 min']}, then {hour['20 min']}, then {hour['then'][:3]}; real time: {kind}, then {first['kind']} "
        f"({first['id']}) after {time.monotonic() - began:.1f} s"
    )


def clock_set(bench: Bench) -> str:
    if not bench.clock.works:
        return "skipped: no C compiler"
    dates = Dates(bench.folder)
    for ahead_s in (0, 3600, 0):
        bench.clock.set(ahead_s)
        for _ in range(25):
            dates.look()
            time.sleep(1)
    right, asked = dates.guided()
    shown, in_order = bench.status(), dates.television_guide_is_in_order()
    return (
        f"dates of {len(dates.at)} segments jumped by {dates.steps()} s and nowhere else; the guide named the clip of "
        f"{right} of {asked}; television guide in order: {in_order}; late frames {shown['late_frames']}, playouts "
        f"started {bench.supervisor.starts}, RTMP {shown['outputs'][1]['state']}"
    )


FAULTS: dict[str, Callable[[Bench], str]] = {
    "nothing": nothing,
    "playout killed (-9)": killed,
    "playout frozen (SIGSTOP)": frozen,
    "playout hung (its first thread held)": hung,
    "RTMP server killed 3 s": server_killed,
    "RTMP server down 5 min": server_gone,
    "RTMP server frozen 15 s": server_frozen,
    "clips deleted, truncated, replaced": harmed_clips,
    "disk full 60 s": disk_full,
    "database locked 30 s": database_locked,
    "database gone 30 s": database_gone,
    "a second playout": second_playout,
    "no clip left": no_clips,
    "generator gone 1 h": generator_gone,
    "wall clock +1 h, then -1 h": clock_set,
}


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--only", choices=FAULTS)
    reader.add_argument("--modules", type=Path, default=Path("node_modules"))
    options = reader.parse_args()
    print("| fault | model: stalls / lost segments | hls.js: stalls / dropped frames | longest pause, s | load | |")
    print("|---|---|---|---|---|---|")
    asked = [name for name in FAULTS if options.only in (None, name)]
    for with_clock in (False, True):
        rows = [name for name in asked if (FAULTS[name] is clock_set) is with_clock]
        if not rows:
            continue
        bench = Bench(options.modules, set_clock=with_clock)
        try:
            for name in rows:
                bench.row(name, FAULTS[name])
        finally:
            bench.close()


if __name__ == "__main__":
    main()
