"""A full disk: the channel stays on air by overwriting its own files, and reports it."""

from __future__ import annotations

import errno
import json
import logging
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from on_air import Collector, deltas, fast_playout, fill, receive

from kinema.channel.airing.output_hls import HlsSettings
from kinema.channel.airing.reserve import Reserve
from kinema.core.whole import write_bytes


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("cannot start: a small disk needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


class Hog:
    """Fills a disk, and takes each block that is freed."""

    def __init__(self, disk):
        self.path = disk / "ballast"
        self.file = self.path.open("wb", buffering=0)
        self.take()

    def take(self):
        with pytest.raises(OSError) as full:
            while True:
                self.file.write(bytes(4096))
        assert full.value.errno == errno.ENOSPC

    def go(self):
        self.file.close()
        self.path.unlink()


def test_a_full_disk_stops_nothing_however_long_it_stays_full(tmp_path, small_disk, caplog, quick_sound):
    folder = small_disk / "channel"
    fill(folder, 3)
    playout = fast_playout(folder, hls=HlsSettings(listed=6))
    collector = Collector(folder)

    def air(num, hog=None):
        for _ in range(num):
            playout._air(playout.feed.take())
            collector.look()
            if hog:
                hog.take()

    air(5)
    assert playout.status()["alarms"] == []
    hog = Hog(small_disk)
    with caplog.at_level(logging.WARNING):
        air(40, hog)
        status = json.loads((folder / "state" / "status.json").read_text())
    assert status["frame"] == playout.frame and status["outputs"][0]["disk"] == "full"
    assert status["outputs"][0]["state"] == "on air" and status["outputs"][0]["waiting"] == 0
    assert "hls: the disk is full" in status["alarms"][0] and "the disk is full" in caplog.text
    assert not list(folder.rglob("*.partial"))
    hog.go()
    air(20)
    status = playout.status()
    assert status["alarms"] == [] and status["outputs"][0]["spares"] == 6, "the reserve is restored"
    playout.close()
    collector.look()
    assert playout.hls.lost == 0 and playout.late == 0
    assert sorted(collector.data) == list(range(65)) and not collector.jumps
    got = receive(collector.stream())
    assert deltas(got.video) == {3750} and (got.errors, got.corrupt) == (0, 0)


def refuse(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def held(folder: Path) -> int:
    return sum(path.stat().st_blocks for path in folder.iterdir())


def test_while_nothing_new_can_be_written_no_block_is_given_back(tmp_path, monkeypatch):
    reserve = Reserve(tmp_path, "x")
    reserve.provide([4096, 200_000, 200_000])
    live, old = tmp_path / "live", tmp_path / "old"
    write_bytes(live, b"0" * 3000), write_bytes(old, b"o" * 150_000)
    blocks = held(tmp_path)
    monkeypatch.setattr("kinema.channel.airing.reserve.write_bytes", refuse)
    monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=4096))
    for number in range(1, 6):
        data = bytes([48 + number]) * (3000 + 100 * number)
        reserve.put(live, data)
        assert live.read_bytes().rstrip(b"\n") == data
    reserve.retire(old)
    for number in range(3):
        new = tmp_path / f"new{number}"
        reserve.put(new, b"n" * 140_000, b"..")
        assert new.read_bytes().rstrip(b".") == b"n" * 140_000
        reserve.provide([4096, 200_000, 200_000])
    assert reserve.full and held(tmp_path) == blocks and not old.exists()
    with pytest.raises(OSError, match="No space left"):
        reserve.put(tmp_path / "more", b"m" * 140_000)
    again = Reserve(tmp_path, "x")
    assert len(again) == len(reserve) == 1, "the next run finds the spares"
    monkeypatch.undo()
    reserve.provide([4096, 200_000, 200_000])
    assert not reserve.full and len(reserve) == 3
    reserve.provide([4096])
    reserve.retire(live)
    assert len(reserve) == 1 and not live.exists()


def test_without_the_right_to_mount_too_segments_are_written_over_old_ones(tmp_path, monkeypatch, quick_sound):
    fill(tmp_path, 3)
    playout = fast_playout(tmp_path, hls=HlsSettings(listed=4))
    collector = Collector(tmp_path)
    for _ in range(2):
        playout._air(playout.feed.take())
    with monkeypatch.context() as patch:
        patch.setattr(playout.hls, "reserve", Reserve(tmp_path / "elsewhere", "hls"))
        assert "too little space" in playout.status()["alarms"][0]
    for number in range(2, 60):
        playout._air(playout.feed.take())
        collector.look()
        if number == 9:
            monkeypatch.setattr("kinema.channel.airing.reserve.write_bytes", refuse)
            monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=4096))
    playout.close()
    collector.look()
    assert sorted(collector.data) == list(range(60)) and playout.hls.lost == 0
    assert len(list((tmp_path / "on_air").iterdir())) <= 24
    got = receive(collector.stream())
    assert deltas(got.video) == {3750} and (got.errors, got.corrupt) == (0, 0)


def test_a_disk_that_stays_full_drops_the_oldest_and_says_so(tmp_path, monkeypatch):
    fill(tmp_path, 3)
    playout = fast_playout(tmp_path, hls=HlsSettings(listed=30, waiting=4))
    for _ in range(3):
        playout._air(playout.feed.take())

    with monkeypatch.context() as patch:
        patch.setattr("kinema.channel.airing.reserve.write_bytes", refuse)
        patch.setattr(Reserve, "_write_over", refuse)  # a copy-on-write file system
        for _ in range(10):
            playout._air(playout.feed.take())
    for _ in range(3):
        playout._air(playout.feed.take())
    playout.close()
    collector = Collector(tmp_path)
    collector.look()
    lost = playout.hls.lost
    assert lost == 6 and sorted(collector.data) == list(range(16 - lost)) and len(collector.jumps) == 1
    assert deltas(receive(collector.stream()).video) == {3750, 3750 * (48 * lost + 1)}
