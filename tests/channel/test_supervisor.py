"""A playout process: killed, frozen, started twice."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from ingest import wait_for
from on_air import SMALL, Collector, deltas, fill, receive

from kinema.channel.airing.output_hls import HlsSettings
from kinema.channel.airing.playout import PlayoutSettings
from kinema.channel.airing.playout_process import BAD, BUSY, plain, settings_of
from kinema.channel.airing.supervisor import PulseLimits, Supervisor
from kinema.channel.lock import ChannelBusy, ChannelLock
from kinema.core.errors import KinemaError, RequestError

HOLD = Path(__file__).parents[2] / "benchmarks" / "hold_thread.py"


def status(folder):
    try:
        return json.loads((folder / "state" / "status.json").read_text())
    except (OSError, ValueError):
        return None


def no_child_is_left():
    return not [one for one in psutil.Process().children() if "kinema.channel.airing.playout_process" in one.cmdline()]


class Watched:
    """A supervised channel on air, with its playlist polled continuously."""

    def __init__(self, folder, **limits):
        self.collector = Collector(folder)
        settings = PlayoutSettings(name="Test", encoding=SMALL, hls=HlsSettings(segment_s=1.0, listed=12))
        self.supervisor = Supervisor(folder, settings, limits=PulseLimits(**limits))
        self.run = threading.Thread(target=self.supervisor.run, daemon=True)
        self.watch = threading.Thread(target=self._look, daemon=True)
        self.appeared: list[tuple[float, int]] = []
        self.end = threading.Event()
        self.run.start(), self.watch.start()

    def _look(self):
        while not self.end.wait(0.05):
            self.collector.look()
            newest = max(self.collector.data, default=-1)
            if not self.appeared or newest > self.appeared[-1][1]:
                self.appeared.append((time.monotonic(), newest))

    def close(self):
        self.end.set()
        self.supervisor.stop()
        self.run.join(30), self.watch.join(30)

    def until_segment(self, number, seconds=60.0):
        wait_for(lambda: max(self.collector.data, default=-1) >= number, seconds)


def hold(pid):
    """Stop the first thread of a process, invisibly to /proc."""
    holder = subprocess.Popen([sys.executable, str(HOLD), str(pid)], stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    if holder.poll() is not None:
        pytest.skip("cannot start: no right to hold a thread of another process")


HARMS = {
    "SIGKILL": (lambda pid: os.kill(pid, signal.SIGKILL), "exit code -9"),
    "SIGSTOP": (lambda pid: os.kill(pid, signal.SIGSTOP), "process stopped"),
    "held": (hold, "no heartbeat"),
}


@pytest.mark.parametrize(
    "harm", [pytest.param("SIGKILL", marks=pytest.mark.slow), "SIGSTOP", pytest.param("held", marks=pytest.mark.slow)]
)
def test_a_killed_or_frozen_playout_goes_on_with_the_next_frame(tmp_path, harm):
    fill(tmp_path, 4)
    make, why = HARMS[harm]
    watched = Watched(tmp_path)
    try:
        watched.until_segment(2)
        newest = max(watched.collector.data)
        harmed = watched.supervisor.process
        make(harmed.pid)
        wait_for(lambda: watched.supervisor.process is not harmed and harmed.poll() is not None, 60)
        watched.until_segment(newest + 4)
    finally:
        watched.close()
    assert watched.supervisor.process.poll() is not None and no_child_is_left()
    assert watched.supervisor.starts == 2 and watched.supervisor.why == why
    waits = [b[0] - a[0] for a, b in itertools.pairwise(watched.appeared)]
    assert max(waits) < 11, "a player buffers twelve seconds of this playlist"
    sequences = watched.collector.sequences
    assert sequences == sorted(sequences) and not watched.collector.jumps
    got = receive(watched.collector.stream())
    assert deltas(got.video) == {3750} and deltas(got.audio) == {1920} and (got.errors, got.corrupt) == (0, 0)


def test_two_supervisors_and_a_playout_beside_one_are_refused(tmp_path):
    fill(tmp_path, 1)
    lock = ChannelLock(tmp_path)
    command = [sys.executable, "-m", "kinema.channel.airing.playout_process", str(tmp_path), "--size", "96x64"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == BUSY and f"process {os.getpid()}" in run.stderr
    with pytest.raises(ChannelBusy):
        Supervisor(tmp_path, PlayoutSettings(encoding=SMALL)).run()
    lock.close()
    other = ChannelLock(tmp_path, "supervisor")
    with pytest.raises(ChannelBusy, match="supervisor"):
        Supervisor(tmp_path).run()
    other.close()


def test_settings_travel_whole_and_bad_ones_end_the_supervisor(tmp_path):
    settings = PlayoutSettings(name="A", encoding=SMALL, rtmp=["rtmp://h/a/k"], hls=None)
    again = settings_of(json.loads(json.dumps(plain(settings, [["06:00", "07:00", "sea"]]))))
    assert (again.name, again.encoding, list(again.rtmp), again.hls) == ("A", SMALL, ["rtmp://h/a/k"], None)
    assert again.theme_at is not None
    with pytest.raises(RequestError, match="nonsense"):
        settings_of({"nonsense": 1})
    with pytest.raises(RequestError, match="day part"):
        settings_of({"schedule": [["6", "7", "sea"]]})
    with pytest.raises(KinemaError, match="refuses its settings"):
        Supervisor(tmp_path, PlayoutSettings(encoding=SMALL, rtmp=["http://no"])).run()
    command = [sys.executable, "-m", "kinema.channel.airing.playout_process", str(tmp_path), "--rtmp", "rtmp://h/a/key"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == BAD and "@FILE" in run.stderr and "h/a/key" not in run.stderr


def test_the_process_ends_in_order(tmp_path):
    fill(tmp_path, 1)
    process = subprocess.Popen(
        [sys.executable, "-m", "kinema.channel.airing.playout_process", str(tmp_path), "--size", "96x64"]
    )
    try:
        wait_for(lambda: status(tmp_path), 60)
        assert status(tmp_path)["clip"] is not None
    finally:
        process.terminate()
    assert process.wait(30) == 0 and status(tmp_path) is None
