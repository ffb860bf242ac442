"""Sound keeps its times: gaps, overlaps, late starts, in every reader, and no sound after the pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from made_with_av import numbered

from kinema.core.errors import MediaError
from kinema.media.audio import decode_audio
from kinema.media.open import open_container
from kinema.media.read import probe, read_audio, read_chunks, read_video


def with_runs(
    path: Path, runs: list[tuple[float, float]], *, form: str = "matroska", codec: str = "pcm_s16le",
    num_frames: int = 48, rate_hz: int = 48_000, late_s: float = 0.0, video: bool = True,
    packet: int = 480,
) -> Path:  # fmt: skip
    """A clip at 24 fps whose sound comes in runs (from, to), each of one level: 0.1 for the first, 0.2, ..."""
    with av.open(str(path), "w", format=form) as container:
        if video:
            stream = container.add_stream("libx264", rate=24)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.max_b_frames = 0
        sound = container.add_stream(codec, rate=rate_hz, layout="mono")
        if video:
            for k, picture in enumerate(numbered(num_frames)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = k + round(late_s * 24), Fraction(1, 24)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        for number, (begin, end) in enumerate(runs, 1):
            level = np.full((1, round((end - begin) * rate_hz)), number * 3277, np.int16)
            for start in range(0, level.shape[1], packet):
                part = av.AudioFrame.from_ndarray(level[:, start : start + packet], format="s16", layout="mono")
                part.sample_rate, part.time_base = rate_hz, Fraction(1, rate_hz)
                part.pts = round((begin + late_s) * rate_hz) + start
                container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


def level_at(samples_SC: np.ndarray, second: float) -> int:
    return round(float(samples_SC[round(second * 48_000), 0]) * 10)


def along(path: Path, start: int = 0) -> np.ndarray:
    return np.concatenate([chunk.audio for chunk in read_chunks(path, start=start, chunk_frames=7)])


@pytest.mark.parametrize(
    ("form", "rate_hz"), [("matroska", 48_000), ("asf", 48_000), ("nut", 44_100), ("matroska", 8_000)]
)
@pytest.mark.parametrize("late_s", [0.0, 3.0])
def test_a_gap_is_silence(tmp_path, form, rate_hz, late_s):
    """Every edge is within a millisecond of its time, however the sound is read."""
    runs = [(0.25, 0.5), (1.0, 1.25), (1.5, 1.51), (1.75, 2.0)]
    path = with_runs(tmp_path / "a", runs, form=form, rate_hz=rate_hz, late_s=late_s)
    skipped = 5
    for name, samples_SC, from_s in (
        ("whole", read_audio(path), 0.0), ("along", along(path), 0.0), ("later", along(path, skipped), skipped / 24),
    ):  # fmt: skip
        for number, (begin, end) in enumerate(runs, 1):
            for second, wanted in ((begin - 0.0015, 0), (begin + 0.0015, number), (end - 0.0015, number)):
                assert level_at(samples_SC, second - from_s) == wanted, (name, second)
    assert len(along(path)) == 96_000


@pytest.mark.parametrize("form", ["mp4", "mov", "matroska", "mpegts", "flv", "nut"])
def test_packets_that_were_lost(tmp_path, form):
    """A compressed track without the packets of half a second: later sound keeps its time."""
    path = tmp_path / "a"
    clicks_s, hole_s = (0.25, 1.5), (0.5, 1.0)
    samples = np.zeros((1, 96_000), np.float32)
    for second in clicks_s:
        samples[0, round(second * 48_000) :][:48] = 0.9
    samples[0, 30_000:40_000] = 0.3 * np.sin(np.arange(10_000) / 8)  # lost
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        for k, picture in enumerate(numbered(48)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        heard = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = 48_000, 0, Fraction(1, 48_000)
        for part in [*sound.encode(heard), *sound.encode(None)]:
            if not hole_s[0] <= part.pts * part.time_base < hole_s[1]:
                container.mux(part)
    for samples_SC in (read_audio(path), along(path)):
        loud = np.flatnonzero(np.abs(samples_SC[:, 0]) > 0.4) / 48_000
        found = [loud[0], loud[loud > 1][0]]
        assert found == pytest.approx(clicks_s, abs=0.00102)
        assert np.abs(samples_SC[26_500:46_000]).max() < 0.01


def test_what_overlaps_loses_its_start(tmp_path):
    path = with_runs(tmp_path / "a.mkv", [(0.0, 1.0), (0.5, 1.5), (2.5, 2.6)], num_frames=72, packet=48_000)
    sound = read_audio(path)
    assert [level_at(sound, s) for s in (0.4, 0.9, 1.1, 1.4, 1.6, 2.4, 2.55)] == [1, 1, 2, 2, 0, 0, 3]


def test_rounded_times_make_no_gaps(tmp_path):
    """Matroska rounds to a millisecond: a tone of 44.1 kHz stays one piece."""
    path = tmp_path / "a.mkv"
    hertz = 441
    with av.open(str(path), "w") as container:
        sound = container.add_stream("flac", rate=44_100, layout="mono")
        wave = np.sin(2 * np.pi * hertz * np.arange(3 * 44_100) / 44_100)
        for start in range(0, len(wave), 500):
            part = np.rint(wave[None, start : start + 500] * 16_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44_100, start, Fraction(1, 44_100)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    back = read_audio(path)[:, 0]
    again = np.sin(2 * np.pi * hertz * np.arange(len(back)) / 48_000) * 16_000 / 32_768
    assert np.abs(back[100:-100] - again[100:-100]).max() < 0.002


def test_a_sound_file_begins_with_its_sound(tmp_path):
    """No silence for the hours before the start of a recording."""
    path = with_runs(tmp_path / "a.mkv", [(9000.0, 9000.5), (9001.0, 9001.5)], video=False)
    sound = read_audio(path)
    assert len(sound) == pytest.approx(1.5 * 48_000, abs=48)
    assert [level_at(sound, s) for s in (0.1, 0.7, 1.2)] == [1, 0, 2]


def test_sound_past_the_pictures_is_left(tmp_path):
    path = with_runs(tmp_path / "a.mkv", [(0.0, 1.0), (1.5, 90.0), (200_000.0, 200_001.0)], num_frames=24)
    assert len(read_audio(path)) == 2 * 48_000
    assert len(read_audio(path, seconds=10)) == 10 * 48_000
    assert len(along(path)) == 48_000
    sound_file = with_runs(tmp_path / "b.mkv", [(0.0, 1.0), (200_000.0, 200_001.0)], video=False)
    with pytest.raises(MediaError, match=r"b\.mkv: its sound is longer than the limit of 3600 s"):
        read_audio(sound_file)
    with open_container(sound_file) as container:  # as a channel reads its music: no piece is long
        parts = decode_audio(container)
        assert max(len(next(parts)) for _ in range(300)) <= 48_000


BOMBS = {
    "late": ([(0.0, 1.0), (4_000.0, 4_000.2)], None),
    "later": ([(0.0, 1.0), (200_000.0, 200_000.2)], None),
    "huge delta": ([(0.0, 1.0)], b"stts"),
}
MEASURE = """
import json, resource, sys
from kinema.core.errors import MediaError
from kinema.media.read import probe, read_audio, read_chunks, read_video
import av, numpy
for name, of in json.loads(sys.argv[2]):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        whole = lambda path: [None for chunk in read_chunks(path)]
        {"audio": read_audio, "video": read_video, "probe": probe, "chunks": whole}[of](name)
    except MediaError:
        pass
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([name, of, grown]))
"""


def test_times_cannot_ask_for_memory(tmp_path):
    """Peak memory of a process that reads small files with enormous times, under a limit of address space."""
    files = []
    for name, (runs, table) in BOMBS.items():
        for form in ("mov", "matroska"):
            path = with_runs(tmp_path / f"{name}.{form}", runs, form=form, num_frames=24)
            if table is not None and form == "mov":
                data = bytearray(path.read_bytes())
                at = data.find(b"stts")
                while at >= 0:  # count, then (count, delta) pairs: the last delta of every track
                    entries = int.from_bytes(data[at + 8 : at + 12])
                    data[at + 8 + 8 * entries : at + 12 + 8 * entries] = (2**31 - 1).to_bytes(4)
                    at = data.find(b"stts", at + 4)
                path.write_bytes(bytes(data))
            files += [(str(path), of) for of in ("probe", "chunks", "audio", "video")]
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n" + MEASURE
    run = subprocess.run(
        [sys.executable, "-c", code, "-", json.dumps(files)], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr[-2000:]
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(told) == len(files)
    assert max(grown_kb for *_, grown_kb in told[1:]) < 60_000, told


@pytest.mark.parametrize(("seconds_apart", "reason"), [(14, "frames in"), (100_000, "frames in"), (9, "")])
def test_rates_that_are_no_clip(tmp_path, seconds_apart, reason):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1)
        for k, picture in enumerate(numbered(4)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k * seconds_apart, Fraction(1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if reason:
        for reader in (probe, read_video):
            with pytest.raises(MediaError, match=reason):
                reader(path)
    else:
        assert probe(path).num_frames == 4
        assert probe(path).fps == pytest.approx(1 / seconds_apart, rel=0.35)
