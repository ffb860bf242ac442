"""RTMP through sidecars to real servers: received packets, dead and frozen servers, secrecy of the key."""

from __future__ import annotations

import io
import itertools
import json
import logging
import signal
import threading
import time
from pathlib import Path

import av
import pytest
from ingest import Nginx, NodeMediaServer, free_port, wait_for
from on_air import SMALL, fast_playout, fill

from kinema.channel.airing.address import check_address, public_address
from kinema.channel.airing.output_rtmp import RtmpOutput
from kinema.channel.airing.playout import Playout, PlayoutSettings
from kinema.core.errors import RequestError

KEY = "live_31415_sEcReT"


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    server = Nginx(tmp_path_factory.mktemp("nginx"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def media_server(tmp_path_factory):
    server = NodeMediaServer(tmp_path_factory.mktemp("nms") / "it")
    yield server
    server.stop()


class Patient:
    """Slows a playout on an accelerated clock down to the speed of the sidecar."""

    def __init__(self, output):
        self.output, self.name, self.slowest_s = output, output.name, 0.0

    def begin(self, timeline):
        self.output.begin(timeline)

    def send(self, media):
        while len(self.output.waiting) > 200:
            time.sleep(0.002)
        began = time.monotonic()
        self.output.send(media)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def status(self):
        return self.output.status()

    def close(self):
        self.output.close()


def channel(folder, *urls, **more):
    """A playout that sends to these addresses, and its thread; the caller starts and stops it."""
    playout = fast_playout(folder)
    playout.outputs += [Patient(RtmpOutput(url, playout.shape, **more)) for url in urls]
    playout._begin(playout.timeline)
    thread = threading.Thread(target=playout.run, daemon=True)
    return playout, thread


def packets(source):
    """Timestamps in ms of video and audio of an FLV, and the number of decodable frames."""
    video, audio, frames = [], [], 0
    with av.open(source, "r", format="flv") as container:
        for packet in container.demux():
            if not packet.size:
                continue
            ms = round(float(packet.pts * packet.time_base) * 1000)
            (video if packet.stream.type == "video" else audio).append(ms)
            if packet.stream.type == "video":
                frames += len(packet.decode())
    return video, audio, frames


def whole_tags(data):
    """A truncated FLV, up to its last complete tag."""
    at = 13
    while at + 11 <= len(data) and (end := at + 15 + int.from_bytes(data[at + 1 : at + 4], "big")) <= len(data):
        at = end
    return data[:at]


def even(times, step_ms):
    """Whether all steps have this duration, to the millisecond resolution of FLV."""
    return all(abs((b - a) - step_ms) < 1.01 for a, b in itertools.pairwise(times))


def test_twenty_seams_arrive_evenly_at_two_servers(tmp_path, nginx, media_server, caplog):
    fill(tmp_path, 6, seconds=1)
    playout, thread = channel(tmp_path, nginx.url(KEY), media_server.url(KEY))
    with caplog.at_level(logging.DEBUG):
        thread.start()
        got = media_server.view(KEY, 60_000)
        wait_for(lambda: playout.outputs[1].status()["sent"] > 30 * 71, 120)
        shown = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in sidecars(playout)]
        playout.stop()
        thread.join(30)
    assert shown and not any(KEY.encode() in line for line in every_command_line())
    assert KEY not in caplog.text and KEY not in json.dumps(playout.status())
    video, audio, frames = packets(str(nginx.recorded()[0]))
    assert len(video) > 24 * 25 and even(video, 1000 / 24) and even(audio, 1024 / 48)
    assert video[0] == 0 and audio[0] <= 180 and frames >= len(video) - 1
    video, audio, frames = packets(io.BytesIO(whole_tags(got)))
    assert frames >= len(video) - 1
    assert len(video) > 24 * 3 and even(video[1:], 1000 / 24) and even(audio[1:], 1024 / 48)


def sidecars(playout):
    return [output.output.pid for output in playout.outputs[1:] if output.output.pid]


def every_command_line():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


def test_a_server_that_dies_is_reconnected_and_nobody_waits(tmp_path, nginx):
    fill(tmp_path, 3)
    before = len(nginx.recorded())
    playout = real_time(tmp_path, nginx.url("dies"))
    rtmp = playout.outputs[1]
    try:
        wait_for(lambda: rtmp.status()["state"] == "on air" and rtmp.status()["sent"] > 70)
        nginx.stop()
        wait_for(lambda: rtmp.status()["state"] == "retrying")
        assert KEY not in rtmp.status()["trouble"]
        time.sleep(2.0)
        back = time.time()
        nginx.start()
        sent = rtmp.status()["sent"]
        wait_for(lambda: rtmp.status()["state"] == "on air" and rtmp.status()["sent"] > sent + 70)
        assert rtmp.status()["sessions"] == 2 and rtmp.status()["starts"] == 1
        assert playout.late == 0
    finally:
        playout.stop()
        playout.thread.join(30)
    again = [path for path in nginx.recorded()[before:] if path.stat().st_mtime >= back]
    assert len(again) == 1 and packets(str(again[0]))[0][0] == 0, "the second session begins at time 0"


def test_a_server_that_freezes_costs_its_sidecar_and_nothing_else(tmp_path, nginx):
    fill(tmp_path, 3)
    playout = real_time(tmp_path, nginx.url("freezes"), rtmp_stall_s=2.0, noisy=True)
    rtmp = playout.outputs[1]
    try:
        wait_for(lambda: rtmp.status()["state"] == "on air" and rtmp.status()["sent"] > 70)
        first = rtmp.pid
        nginx.signal(signal.SIGSTOP)
        wait_for(lambda: rtmp.pid not in (first, None), 60)
        frame = playout.frame
        time.sleep(1.0)
        assert playout.frame > frame, "the playout does not block"
        nginx.signal(signal.SIGCONT)
        wait_for(lambda: rtmp.status()["state"] == "on air" and rtmp.status()["sent"] > 70, 60)
        assert playout.late == 0
    finally:
        playout.stop()
        playout.thread.join(30)


def real_time(folder, *urls, noisy=False, **more):
    playout = Playout(folder, PlayoutSettings(name="Test", encoding=SMALL, rtmp=urls, **more))
    if noisy:  # pad packets with a filler unit, to fill the socket's buffers quickly
        send = playout.outputs[1].send

        def padded(media):
            if media.kind == "video":
                pad = b"\x0c" + b"\xff" * 60_000 + b"\x80"
                media = type(media)("video", media.at, media.data + len(pad).to_bytes(4, "big") + pad, media.key)
            send(media)

        playout.outputs[1].send = padded
    playout.thread = threading.Thread(target=playout.run, daemon=True)
    playout.thread.start()
    return playout


def test_a_refusing_server_is_told_without_the_key(tmp_path, caplog):
    fill(tmp_path, 1)
    playout, thread = channel(tmp_path, f"rtmp://127.0.0.1:{free_port()}/live/{KEY}?token=x")
    rtmp = playout.outputs[1]
    with caplog.at_level(logging.DEBUG):
        thread.start()
        wait_for(lambda: rtmp.status()["state"] == "retrying")
        playout.stop()
        rtmp.output.waiting._packets.clear()
        thread.join(30)
    status = rtmp.status()
    assert status["trouble"] == "Connection refused" and status["output"].endswith("/live/***")
    assert KEY not in caplog.text and KEY not in json.dumps(status) and "token" not in json.dumps(status)


@pytest.mark.parametrize("url", ["http://a/b", "rtmp://", "rtmp://host", "rtmp://host/", "rtmp://h/a b", ""])
def test_illegal_addresses_are_refused_without_being_repeated(url):
    with pytest.raises(RequestError) as found:
        check_address(url)
    assert "rtmp://HOST/APP/KEY" in str(found.value)


def test_the_public_name_of_an_address():
    assert public_address("rtmp://me:pw@live.example.com:1935/app/k3y?x=1") == "rtmp://live.example.com:1935/app/***"
    assert public_address("rtmps://host/onlykey") == "rtmps://host/***"
