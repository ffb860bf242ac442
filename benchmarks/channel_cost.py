"""Cost of a channel on air, compared with re-encoding the same clips with ffmpeg.

    python benchmarks/channel_cost.py [--seconds 60] [--channels 8]

One playout process (HLS) at 576x320, 24 fps, against
`ffmpeg -re -f concat ... -c:v libx264 -preset veryfast -tune zerolatency -c:a aac -f flv`, both at real time, measured
by the CPU seconds of the process and its children. Then several playouts at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "channel"))

from kinema.channel.airing.guide import status
from kinema.channel.airing.playlist import write_playlist
from kinema.channel.conform import Encoding, conform
from kinema.channel.library import Library, LibraryClip
from kinema.core.chunk import Chunk

ENCODING = Encoding()


def clip_frames(number: int, seconds: int):
    """Yield test frames: waves that move over a textured background."""
    y_H1, x_1W = np.mgrid[: ENCODING.height, : ENCODING.width]
    ground = np.random.default_rng(number).integers(0, 24, (ENCODING.height, ENCODING.width), dtype=np.uint8)
    for t in range(24 * seconds):
        wave_HW = 100 + 60 * np.sin((x_1W + 3 * t) / 40 + number) + 50 * np.cos((y_H1 - 2 * t) / 23)
        picture_HWC = np.stack([wave_HW + ground, wave_HW[::-1], 255 - wave_HW], -1)
        yield Chunk(np.clip(picture_HWC, 0, 255).astype(np.uint8)[None], t, 24.0)


def fill(folder: Path, num: int = 6) -> list[LibraryClip]:
    with Library.open(folder) as library:
        for number in range(num):
            id = f"clip{number}"
            made = conform(clip_frames(number, 2 + number % 3), library.clip_path(id), ENCODING)
            library.add(LibraryClip.of(id, made, id))
        music = np.random.default_rng(0).normal(0, 0.1, (48_000 * 30, 2)).cumsum(0)
        music -= np.linspace(0, 1, len(music))[:, None] * music[-1]
        music = 0.3 * np.sin(music / 3)
        with wave.open(str(folder / "music" / "bed.wav"), "wb") as file:
            file.setnchannels(2), file.setsampwidth(2), file.setframerate(48_000)
            file.writeframes((music * 32767).astype("<i2").tobytes())
        return library.ready()


def cpu_seconds(process: psutil.Process) -> dict[int, float]:
    """CPU seconds of a process and its children, by process id."""
    found = {}
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
            found[one.pid] = times.user + times.system
        except psutil.Error:
            continue
    return found


def measure(
    processes: list[subprocess.Popen], seconds: float, made: Callable[[], list[float]]
) -> tuple[float, float, float]:
    """Measure (percent of one core, MB, programme seconds per second) over all processes. made: returns the programme
    seconds of each so far; the measurement starts when all have reached ten."""
    while min(made()) < 10:
        time.sleep(0.2)
    roots = [psutil.Process(process.pid) for process in processes]
    before, made_before = [cpu_seconds(root) for root in roots], sum(made())
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    after, made_after = [cpu_seconds(root) for root in roots], sum(made())
    used = sum(count - old.get(pid, 0.0) for old, new in zip(before, after) for pid, count in new.items())
    memory = sum(one.memory_info().rss for root in roots for one in [root, *root.children(recursive=True)])
    return 100 * used / passed, memory / 1e6, (made_after - made_before) / passed / len(processes)


def on_air_s(folder: Path) -> float:
    shown = status(folder)
    return shown["frames_sent"] / 24 if shown else 0.0


def encoded_s(progress: Path) -> float:
    """Read the encoded seconds from ffmpeg's -progress file."""
    rows = (
        [row for row in progress.read_text().splitlines() if row.startswith("out_time_us=")]
        if progress.exists()
        else []
    )
    value = rows[-1].partition("=")[2] if rows else "0"
    return int(value) / 1e6 if value.isdigit() else 0.0


def playout(folder: Path, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "kinema.channel.airing.playout_process", str(folder)],
        env=os.environ | environment,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def stop(*processes: subprocess.Popen) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--seconds", type=float, default=60)
    reader.add_argument("--channels", type=int, default=8)
    options = reader.parse_args()
    work = Path(tempfile.mkdtemp())
    clips = fill(work / "channel0")
    print("| process | % of one core | MB | x real time | ratio |\n|---|---|---|---|---|")
    theirs = float("nan")

    def row(name: str, processes: list[subprocess.Popen], made: Callable[[], list[float]], note: str = "") -> float:
        percent, memory, speed = measure(processes, options.seconds, made)
        ratio = note or f"{percent / theirs:.2f}"
        print(f"| {name} | {percent:.1f} | {memory:.0f} | {speed:.2f} | {ratio} |", flush=True)
        return percent

    if shutil.which("ffmpeg"):
        listed, progress = work / "list.ffconcat", work / "progress"
        write_playlist(listed, clips * 40)
        original = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-re", "-f", "concat", "-safe", "0", "-i", str(listed), "-stream_loop", "-1",
             "-i", str(work / "channel0/music/bed.wav"), "-c:v", "libx264", "-preset", "veryfast", "-tune",
             "zerolatency", "-c:a", "aac", "-ar", "44100", "-shortest", "-progress", str(progress), "-f", "flv", "-y",
             "/dev/null"],
        )  # fmt: skip
        theirs = row("ffmpeg, re-encoding", [original], lambda: [encoded_s(progress)], "1")
        original.kill()
    first = work / "channel0"
    one = playout(first)
    row("playout, HLS", [one], lambda: [on_air_s(first)])
    stop(one)
    if Path("/usr/lib/nginx/modules/ngx_rtmp_module.so").is_file():
        from ingest import Nginx

        server = Nginx(work / "nginx")
        one = playout(first, KINEMA_RTMP=server.url("key"))
        row("playout, HLS and RTMP through a sidecar", [one], lambda: [on_air_s(first)])
        stop(one)
        server.stop()
    if options.channels > 1:
        folders = [work / f"channel{number}" for number in range(options.channels)]
        for folder in folders[1:]:
            shutil.copytree(first, folder, ignore=shutil.ignore_patterns("on_air", "state"))
        several = [playout(folder) for folder in folders]
        row(f"{len(folders)} playouts, HLS", several, lambda: [on_air_s(folder) for folder in folders])
        print("late frames:", [(status(folder) or {"late_frames": None})["late_frames"] for folder in folders])
        stop(*several)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
