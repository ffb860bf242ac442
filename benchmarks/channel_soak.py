"""Soak test of a channel, a day in minutes: checks for gaps, repeated segment numbers and growth, across the 33-bit
wrap.

    python benchmarks/channel_soak.py [--hours 24] [--life 0.5] [--sound] [--folder /dev/shm/soak]

The playout runs on an accelerated clock with everything else real: clips from disk, library, segments and playlists.
Every listed segment is demultiplexed: each step from packet to packet must be one frame (video) or 1024 samples
(audio). The audio is one repeated AAC packet unless --sound encodes it (several times slower). The wrap of MPEG-TS's
clock is crossed in the middle. After --life hours the playout "dies" and a new one resumes from its state.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import psutil

from kinema.channel.airing import playout as playout_module
from kinema.channel.airing.clock import FastClock
from kinema.channel.airing.playout import Playout, PlayoutSettings
from kinema.channel.airing.programme import Policy
from kinema.channel.airing.sound import SoundEncoder
from kinema.channel.airing.stream import MediaPacket
from kinema.channel.conform import Encoding, conform
from kinema.channel.library import Library, LibraryClip
from kinema.channel.state_file import write_state
from kinema.core.chunk import Chunk

ENCODING = Encoding(width=96, height=64, preset="ultrafast")


class OnePacket(SoundEncoder):
    """Silence, encoded once."""

    def take(self, block_SC: np.ndarray, send: bool = True) -> list[MediaPacket]:
        if not send:
            super().take(block_SC, send=False)
            self.packet = super().take(block_SC[:1024])[0].data
            self.next_at -= 1024
            return []
        first, self.next_at = self.next_at, self.next_at + len(block_SC)
        return [MediaPacket("audio", first + at, self.packet) for at in range(0, len(block_SC), 1024)]


def fill(folder: Path, num: int) -> None:
    draw = np.random.default_rng(0)
    with Library.open(folder) as library:
        for number in range(num):
            frames = draw.integers(0, 255, (24 * (2 + number % 3), 64, 96, 3), dtype=np.uint8)
            id = f"clip{number}"
            made = conform([Chunk(frames, 0, 24.0)], library.clip_path(id), ENCODING)
            library.add(LibraryClip.of(id, made, f"Clip {number}", theme=["sea", "city"][number % 2]))


class Checker:
    """Reads the playlist as a strict viewer."""

    def __init__(self, folder: Path) -> None:
        self.on_air, self.next = folder / "on_air", 0
        self.last = {"video": 0, "audio": 0}
        self.gaps = self.repeats = self.segments = self.jumps = self.corrupt = self.wraps = 0

    def look(self) -> None:
        text = (self.on_air / "live.m3u8").read_text()
        number = int(text.split("#EXT-X-MEDIA-SEQUENCE:")[1].split()[0])
        self.jumps = max(self.jumps, text.count("#EXT-X-DISCONTINUITY\n"))
        names = [line for line in text.splitlines() if line.endswith(".ts")]
        if self.segments and number + len(names) < self.next:
            self.repeats += 1
        for k, name in enumerate(names):
            if number + k < self.next:
                continue
            if self.segments and number + k > self.next:
                self.gaps += 1
            self._check((self.on_air / name).read_bytes())
            self.next = number + k + 1
            self.segments += 1

    def _check(self, data: bytes) -> None:
        with av.open(io.BytesIO(data), "r", format="mpegts", options={"correct_ts_overflow": "0"}) as container:
            for packet in container.demux():
                if not packet.size or packet.pts is None:
                    continue
                kind = packet.stream.type
                step = (packet.pts - self.last[kind]) % 2**33
                self.wraps += self.segments > 0 and packet.pts < self.last[kind] and kind == "video"
                self.gaps += self.segments > 0 and step != {"video": 3750, "audio": 1920}[kind]
                self.corrupt += packet.is_corrupt
                self.last[kind] = packet.pts


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--hours", type=float, default=24)
    reader.add_argument("--every", type=float, default=1.0, help="hours between output lines")
    reader.add_argument("--life", type=float, default=0.5, help="hours between deaths of the process")
    reader.add_argument("--sound", action="store_true")
    reader.add_argument("--folder", type=Path)
    options = reader.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    fill(folder, 30)
    if not options.sound:
        playout_module.SoundEncoder = OnePacket
    clock = FastClock()
    before = int(2**33 / 90_000 - options.hours * 1800)
    timeline = {"steady": clock.steady() - before, "wall": clock.wall() - before, "boot": clock.boot, "fps": 24.0}
    empty = {"segments": [], "next_number": 0, "left_discontinuities": 0, "counters": {}, "fingerprint": ""}
    write_state(folder / "state" / "hls.json", {**empty, "next_frame": before * 24, "timeline": timeline})
    settings = PlayoutSettings(name="Soak", encoding=ENCODING, policy=Policy(apart=10, ident_every_s=900))
    process, checker = psutil.Process(), Checker(folder)
    print("| hour | segments | gaps | repeats | corrupt | wraps | late | RSS MB | files | open | x real time |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    began, shown, late = time.monotonic(), 0.0, 0
    start = before * 24
    passed = 0.0
    while passed < options.hours:
        playout = Playout(folder, settings, clock)
        end = playout.frame + round(24 * 3600 * options.life)
        while playout.frame < end:
            playout._air(playout.feed.take())
            playout.view.refresh()
            if (folder / "on_air" / "live.m3u8").exists():
                checker.look()
            passed = (playout.frame - start) / 24 / 3600
            if passed - shown >= options.every:
                shown += options.every
                files = sum(len(names) for _, _, names in os.walk(folder))
                speed = passed * 3600 / (time.monotonic() - began)
                print(
                    f"| {shown:.3g} | {checker.segments} | {checker.gaps} | {checker.repeats} | {checker.corrupt} | "
                    f"{checker.wraps} | {late + playout.late} | {process.memory_info().rss / 1e6:.1f} | {files} | "
                    f"{process.num_fds()} | {speed:.0f} |",
                    flush=True,
                )
        late += playout.late
        playout.lock.close()  # as after kill -9: unfinished work is lost
        playout.view._leave()
    if options.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
