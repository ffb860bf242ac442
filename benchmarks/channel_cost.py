"""What a channel on air costs, beside the original's way: re-encoding the same clips with ffmpeg.

    python benchmarks/channel_cost.py [--seconds 60] [--channels 8]

One playout process (HLS) at 576x320, 24 fps, against
`ffmpeg -re -f concat ... -c:v libx264 -preset veryfast -tune zerolatency -c:a aac -f flv`, both at real time, measured
by the CPU seconds of the process and its children. Then so many playouts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "channel"))

from kinema.channel.conform import Encoding, conform
from kinema.channel.library import Library, LibraryClip
from kinema.channel.playlist import write_playlist
from kinema.core.chunk import Chunk

ENCODING = Encoding()


def clip_frames(number: int, seconds: int):
    """Something to encode: waves that drift over a textured ground."""
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
    """Of a process and its children, by process id."""
    found = {}
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
            found[one.pid] = times.user + times.system
        except psutil.Error:
            continue
    return found


def measure(processes: list[subprocess.Popen], seconds: float, settle: float) -> tuple[float, float]:
    """(percent of one core, MB) of all, after they have settled."""
    time.sleep(settle)
    roots = [psutil.Process(process.pid) for process in processes]
    before = [cpu_seconds(root) for root in roots]
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    after = [cpu_seconds(root) for root in roots]
    used = sum(count - old.get(pid, 0.0) for old, new in zip(before, after) for pid, count in new.items())
    memory = sum(one.memory_info().rss for root in roots for one in [root, *root.children(recursive=True)])
    return 100 * used / passed, memory / 1e6


def playout(folder: Path, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "kinema.channel.playout", str(folder)],
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
    print("| what | % of one core | MB | ratio |\n|---|---|---|---|")
    if shutil.which("ffmpeg"):
        listed = write_playlist(work / "list.ffconcat", clips * 40)
        original = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-re", "-f", "concat", "-safe", "0", "-i", str(listed), "-stream_loop", "-1",
             "-i", str(work / "channel0/music/bed.wav"), "-c:v", "libx264", "-preset", "veryfast",
             "-tune", "zerolatency", "-c:a", "aac", "-ar", "44100", "-shortest", "-f", "flv", "-y", "/dev/null"],
        )  # fmt: skip
        theirs, memory = measure([original], options.seconds, 5)
        original.kill()
        print(f"| ffmpeg, re-encoding | {theirs:.1f} | {memory:.0f} | 1 |", flush=True)
    else:
        theirs = float("nan")
    one = playout(work / "channel0")
    ours, memory = measure([one], options.seconds, 8)
    stop(one)
    print(f"| playout, HLS | {ours:.1f} | {memory:.0f} | {ours / theirs:.2f} |", flush=True)
    with contextlib.suppress(BaseException):
        from ingest import Nginx

        server = Nginx(work / "nginx")
        one = playout(work / "channel0", KINEMA_RTMP=server.url("key"))
        ours, memory = measure([one], options.seconds, 8)
        stop(one)
        server.stop()
        print(
            f"| playout, HLS and RTMP through a sidecar | {ours:.1f} | {memory:.0f} | {ours / theirs:.2f} |", flush=True
        )
    if options.channels > 1:
        for number in range(1, options.channels):
            shutil.copytree(
                work / "channel0", work / f"channel{number}", ignore=shutil.ignore_patterns("on_air", "state")
            )
        several = [playout(work / f"channel{number}") for number in range(options.channels)]
        ours, memory = measure(several, options.seconds, 20)
        late = [status_of(work / f"channel{number}") for number in range(options.channels)]
        stop(*several)
        print(f"| {options.channels} playouts, HLS | {ours:.1f} | {memory:.0f} | late frames {late} |", flush=True)
    shutil.rmtree(work)


def status_of(folder: Path) -> int:
    from kinema.channel.guide import status

    return (status(folder) or {"late_frames": -1})["late_frames"]


if __name__ == "__main__":
    main()
