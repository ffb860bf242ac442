"""Conforming: one fingerprint for all sources, whole GOPs, and refusal of damaged and foreign files."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from kinema.channel.conform import Encoding, conform, fingerprint
from kinema.channel.packets import read_packets
from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError, RequestError
from kinema.media.read import read_chunks
from kinema.media.write import write

SMALL = Encoding(width=96, height=64, fps=12, gop=12)


def frames(num, fps=12.0, height=64, width=96, seed=0):
    """Frames with a bright column that moves over noise; `columns` reads its position back."""
    noise = np.random.default_rng(seed)
    made = noise.integers(0, 40, (num, height, width, 3), dtype=np.uint8)
    for number in range(num):
        left = number * width // num
        made[number, :, left : left + width // num + 1] = 250
    return Chunk(made, 0, fps)


def columns(path):
    read = np.concatenate([chunk.frames for chunk in read_chunks(path)])
    return read.mean((1, 3)).argmax(1)


def test_any_source_has_one_fingerprint_and_whole_gops(tmp_path):
    clips = [
        conform([frames(30)], tmp_path / "a.mp4", SMALL),
        conform([frames(8, 8.0, 100, 100, 1)], tmp_path / "b.mp4", SMALL),
        conform(write([frames(25, 25.0, 48, 64, 2)], tmp_path / "src.webm"), tmp_path / "c.mp4", SMALL),
        conform([frames(3, seed=3)], tmp_path / "d.mp4", SMALL, how="contain"),
        conform(
            [Chunk(np.zeros((12, 64, 96, 3), np.uint8), 0, 12)], tmp_path / "e.mp4", Encoding(96, 64, 12, 12, crf=35)
        ),
    ]
    assert [clip.frames for clip in clips] == [36, 12, 12, 12, 12]
    assert len({clip.fingerprint for clip in clips}) == 1
    assert [clip.seconds for clip in clips] == [3.0, 1.0, 1.0, 1.0, 1.0]
    other = conform([frames(12)], tmp_path / "f.mp4", Encoding(96, 64, 12, 6))
    assert other.fingerprint != clips[0].fingerprint == fingerprint(clips[0].path)


@pytest.mark.parametrize(("begin_s", "end_s"), [(0.0, 1.7), (0.0, 2.3), (0.3, 2.0), (1.0, 1.1)])
def test_sound_that_is_shorter_or_longer_than_the_picture_changes_no_frame(tmp_path, begin_s, end_s):
    """The duration of a clip is that of its video; its audio is dropped."""
    source = tmp_path / "source.mp4"
    with av.open(str(source), "w") as container:
        video, sound = container.add_stream("libx264", rate=12), container.add_stream("aac", rate=48000)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for number, frame_HWC in enumerate(frames(24).frames):
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        block = av.AudioFrame.from_ndarray(np.zeros((1, round((end_s - begin_s) * 48000)), np.float32), "fltp", "mono")
        block.sample_rate, block.pts, block.time_base = 48000, round(begin_s * 48000), Fraction(1, 48000)
        container.mux(sound.encode(block))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    silent = write([frames(24)], tmp_path / "silent.mp4")
    made, alone = conform(source, tmp_path / "a.mp4", SMALL), conform(silent, tmp_path / "b.mp4", SMALL)
    assert (made.frames, made.seconds, made.fingerprint) == (24, 2.0, alone.fingerprint)
    wanted = [k * 96 // 24 for k in range(24)]
    assert np.abs(columns(made.path) - np.array(wanted)).max() <= 7
    with av.open(str(made.path)) as container:
        assert not container.streams.audio


def test_time_is_kept_and_the_last_frame_is_held(tmp_path):
    source = frames(16, 8.0)  # two seconds
    seen = columns(conform([source], tmp_path / "a.mp4", SMALL).path)
    assert len(seen) == 24
    wanted = [min(int((k + 0.5) / 12 * 8), 15) * 96 // 16 for k in range(24)]
    assert np.abs(seen - np.array(wanted)).max() <= 7
    held = columns(conform([frames(16)], tmp_path / "b.mp4", SMALL).path)
    assert len(held) == 24 and held[15:].min() >= 90 >= held[14]


@pytest.mark.parametrize(("source", "wanted"), [((15,), 12), ((17, 8.0), 24), ((10,), 12), ((27,), 24), ((28,), 36)])
def test_a_few_frames_over_are_left_out(tmp_path, source, wanted):
    seen = columns(conform([frames(*source)], tmp_path / "a.mp4", SMALL).path)
    assert len(seen) == wanted
    count, rate = (*source, 12.0)[:2]
    shown = min(wanted, round(count / rate * 12))
    places = np.array([min(int((k + 0.5) / 12 * rate), count - 1) * 96 // count for k in range(shown)])
    assert np.abs(seen[:shown] - places).max() <= 96 // count + 1  # a column's width


def test_the_same_frames_give_the_same_bytes(tmp_path):
    one, two = (conform([frames(12)], tmp_path / name, SMALL) for name in ("a.mp4", "b.mp4"))
    assert one.sha256 == two.sha256 == read_packets(two.path).sha256


def test_damaged_files_are_refused(tmp_path):
    good = conform([frames(36)], tmp_path / "good.mp4", SMALL)
    data = good.path.read_bytes()
    bad = tmp_path / "bad.mp4"
    middle = len(data) // 2
    zeroed = data[:middle] + bytes(len(data) - middle)
    for damaged in (data[: len(data) // 2], data[:40], b"", b"not a clip at all", zeroed, data[:-1]):
        bad.write_bytes(damaged)
        with pytest.raises(MediaError):
            read_packets(bad)
    flipped = bytearray(data)
    flipped[-20] ^= 255  # inside a picture's payload: only the hash reveals it
    bad.write_bytes(flipped)
    with pytest.raises(MediaError, match="SHA-256"):
        read_packets(bad, good.sha256)
    with pytest.raises(MediaError, match="No such file"):
        read_packets(tmp_path / "none.mp4")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bf": "2", "x264-params": "repeat-headers=1:keyint=12:min-keyint=12:scenecut=0"}, "B-frames"),
        ({"bf": "0", "x264-params": "keyint=12:min-keyint=12:scenecut=0"}, "parameter sets"),
        ({"bf": "0", "x264-params": "repeat-headers=1:keyint=10:min-keyint=10:scenecut=0"}, "whole GOPs"),
    ],
)
def test_foreign_h264_is_refused_with_the_reason(tmp_path, options, reason):
    path = tmp_path / "foreign.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame_HWC in frames(24).frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=reason):
        read_packets(path)


def test_a_failing_source_leaves_nothing_behind(tmp_path):
    def failing():
        yield frames(12)
        raise MediaError("the source broke")

    with pytest.raises(MediaError, match="the source broke"):
        conform(failing(), tmp_path / "a.mp4", SMALL)
    with pytest.raises(MediaError, match="no frames"):
        conform([], tmp_path / "a.mp4", SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [{"width": 97}, {"height": 8}, {"fps": 0}, {"gop": 1000}, {"crf": 0}, {"preset": "x"}])
def test_illegal_encodings_are_refused(bad):
    with pytest.raises(RequestError) as found:
        Encoding(**bad)
    assert found.value.field == next(iter(bad))
