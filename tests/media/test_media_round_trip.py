"""Frames written and read back: count, rate, length, colours, sound, manifest, bytes."""

from __future__ import annotations

import json
from itertools import pairwise

import av
import numpy as np
import pytest
from media_clips import chunks, moving, patch_errors, patches, psnr
from PIL import Image

from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError, RequestError
from kinema.media.manifest import read_manifest, sidecar_of
from kinema.media.read import probe, read_audio, read_chunks, read_image, read_video
from kinema.media.timeline import exact_rate
from kinema.media.write import write

CLIPS = ("clip.mp4", "clip.webm", "clip.gif", "clip.webp", "frames")
MANIFEST = {"prompt": 'a caf\u00e9 <in> "rain" & fog', "seed": 7, "spans": [[0, 17], [9, 25]], "none": None}


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(("num", "fps"), [(1, 8), (2, 16), (17, 23.976), (33, 24), (17, 25), (33, 8), (2, 23.976)])
def test_count_rate_and_length(tmp_path, name, num, fps):
    frames = moving(num, 32, 48)
    path = write(chunks(frames, fps), tmp_path / name, quality="draft")
    info = probe(path)
    assert (info.num_frames, info.width, info.height) == (num, 48, 32)
    assert info.fps == pytest.approx(float(exact_rate(fps)), rel=1e-9)
    assert info.seconds == pytest.approx(num / fps, rel=1e-4)
    assert not info.has_audio and info.rotation == 0
    back, back_fps = read_video(path)
    assert back.shape == frames.shape and back.dtype == np.uint8 and back_fps == info.fps


def test_container_says_the_same(tmp_path):
    path = write(chunks(moving(17), 23.976), tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert video.frames == 17 and str(video.average_rate) == "24000/1001"
        assert float(video.duration * video.time_base) == pytest.approx(17 * 1001 / 24000, abs=1e-4)
    data = path.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")  # faststart


@pytest.mark.parametrize(
    ("name", "quality", "least"),
    [("a.mp4", "good", 38), ("a.mp4", "best", 45), ("a.webm", "good", 36), ("a.webm", "best", 44)]
    + [("a.webp", "good", 33), ("a.webp", "best", 99), ("a.gif", "good", 29), ("frames", "good", 99)],
)
def test_picture_quality(tmp_path, name, quality, least):
    y, x = np.mgrid[:96, :128]
    base = np.stack([np.sin(x / 19), np.sin(y / 23 + 1), np.cos((x + y) / 31)], -1)
    frames = np.stack([np.clip(127 + (100 + k) * base, 0, 255) for k in range(6)]).astype(np.uint8)
    back, _ = read_video(write(chunks(frames), tmp_path / name, quality=quality))
    assert psnr(frames, back) >= least


@pytest.mark.parametrize("name", CLIPS)
def test_colors(tmp_path, name):
    back, _ = read_video(write(chunks(patches()), tmp_path / name, quality="best"))
    assert max(patch_errors(back).values()) <= 3, patch_errors(back)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_tags_say_bt709_limited(tmp_path, name):
    path = write(chunks(patches()), tmp_path / name, quality="best")
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        assert context.color_range == 1 and context.pix_fmt == "yuv420p"
        luma = np.frombuffer(next(container.decode(video=0)).planes[0], np.uint8)
        assert abs(int(luma[10]) - 63) <= 1  # red in BT.709 limited range: 16 + 219 * 0.2126


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("size", [(33, 47), (32, 47), (7, 5)])
def test_odd_sizes_stay(tmp_path, name, size):
    frames = moving(3, *size) if min(size) > 12 else np.full((3, *size, 3), 90, np.uint8)
    back, _ = read_video(write(chunks(frames), tmp_path / name))
    assert back.shape == frames.shape


@pytest.mark.parametrize("name", CLIPS)
def test_same_frames_same_bytes(tmp_path, name):
    files = []
    for k, size in enumerate((5, 3)):  # however the chunks are cut
        path = write(chunks(moving(20), size=size), tmp_path / str(k) / name, manifest=MANIFEST)
        np.random.default_rng(k).random(100_000 * (k + 1))  # another memory layout
        files.append(sorted(path.iterdir()) if path.is_dir() else [path])
    assert all(one.read_bytes() == two.read_bytes() for one, two in zip(*files, strict=True))


@pytest.mark.parametrize("name", [*CLIPS, "one.png", "one.jpg"])
def test_manifest_travels_inside_and_beside(tmp_path, name):
    num = 1 if name.startswith("one") else 3
    path = write(chunks(moving(num)), tmp_path / name, manifest=MANIFEST)
    assert json.loads(sidecar_of(path).read_text()) == MANIFEST
    sidecar_of(path).unlink()
    assert read_manifest(path) == MANIFEST
    write(chunks(moving(num)), path)
    with pytest.raises(MediaError, match=path.name):
        read_manifest(path)
    left = {"kinema": "0.1.0", "plan": {}}
    sidecar_of(path).write_text(json.dumps(left))
    assert read_manifest(path) == left
    write(chunks(moving(num)), path)
    assert not sidecar_of(path).exists()  # it described the file that is gone


def test_large_manifest(tmp_path):
    large = {"steps": ["x" * 100 for _ in range(3000)]}
    for name in ("a.mp4", "a.webm", "a.gif", "a.webp", "frames"):
        path = write(chunks(moving(2)), tmp_path / name, manifest=large)
        sidecar_of(path).unlink()
        assert read_manifest(path) == large
    assert read_manifest(write(chunks(moving(1)), tmp_path / "a.jpg", manifest=large)) == large


def test_read_manifest_refuses(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        read_manifest(tmp_path / "none.mp4")
    path = write(chunks(moving(2)), tmp_path / "a.mp4")
    sidecar_of(path).write_text("{")
    with pytest.raises(MediaError, match="damaged"):
        read_manifest(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_travels(tmp_path, name, channels):
    fps, num = 24, 36
    t = np.arange(num * 2000)[:, None] / 48000
    sound = (0.5 * np.sin(2 * np.pi * (440 * t + np.arange(channels) * 0.1))).astype(np.float32)
    sound[: 48000 // 2] = 0  # silence, then a tone: shows shifts
    path = write(chunks(moving(num), fps, audio=sound), tmp_path / name)
    assert probe(path).has_audio
    back = read_audio(path)
    assert back.dtype == np.float32 and back.shape[1] == channels
    assert abs(len(back) - len(sound)) <= 2048
    onset = int(np.argmax(np.abs(back[:, 0]) > 0.1))
    assert abs(onset - 24000) < 200
    assert np.abs(back[30000:60000]).max() == pytest.approx(0.5, abs=0.05)
    parts = list(read_chunks(path, chunk_frames=7))
    assert sum(len(part.audio) for part in parts) == len(sound)
    joined = np.concatenate([part.audio for part in parts])
    np.testing.assert_allclose(joined[: len(back)][:70000], back[:70000], atol=1e-6)
    late = next(read_chunks(path, start=14, chunk_frames=4))
    np.testing.assert_allclose(late.audio, joined[28000:36000], atol=1e-3)
    assert all(part.audio is None for part in read_chunks(path, audio=False))


def test_sound_that_cannot_be_held_is_left_out(tmp_path):
    path = write(chunks(moving(4), audio=np.zeros((8000, 2), np.float32)), tmp_path / "a.gif")
    assert read_audio(path) is None


def test_runs_of_frames(tmp_path):
    path = write(chunks(moving(120, 32, 32)), tmp_path / "a.mp4", quality="draft")
    whole, _ = read_video(path)
    for start, stop in [(0, 1), (5, 23), (47, 49), (60, 61), (100, 500), (119, 120)]:
        parts = list(read_chunks(path, start=start, stop=stop, chunk_frames=6))
        assert parts[0].start == start and all(a.stop == b.start for a, b in pairwise(parts))
        np.testing.assert_array_equal(np.concatenate([part.frames for part in parts]), whole[start:stop])
    assert list(read_chunks(path, start=120)) == [] == list(read_chunks(path, start=3, stop=3))


def test_chunks_that_start_late_are_a_clip(tmp_path):
    assert len(read_video(write(chunks(moving(4), start=16), tmp_path / "a.mp4"))[0]) == 4


def test_gif_timing_is_as_exact_as_gif_can(tmp_path):
    path = write(chunks(moving(48), 24), tmp_path / "a.gif")
    with Image.open(path) as image:
        ends, total = [], 0
        for k in range(image.n_frames):
            image.seek(k)
            total += image.info["duration"]
            ends.append(total)
        assert image.info["loop"] == 0
    assert all(abs(end - (k + 1) * 1000 / 24) <= 5.1 for k, end in enumerate(ends))


def test_gif_takes_a_new_palette_at_a_cut(tmp_path):
    reds, blues = np.zeros((20, 48, 64, 3), np.uint8), np.zeros((20, 48, 64, 3), np.uint8)
    ramp = np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)
    reds[..., 0], blues[..., 2] = ramp, ramp
    back, _ = read_video(write(chunks(np.concatenate([reds, blues])), tmp_path / "a.gif"))
    assert psnr(back[:20], reds) > 35 and psnr(back[20:], blues) > 35


def test_still_pictures(tmp_path):
    frame = moving(1)
    np.testing.assert_array_equal(read_image(write([Chunk(frame, 0, 8)], tmp_path / "a.png")), frame[0])
    assert psnr(read_image(write([Chunk(frame, 0, 8)], tmp_path / "a.jpg", quality="best")), frame[0]) > 38
    for name in ("a.png", "a.jpg"):
        with pytest.raises(RequestError, match="one picture"):
            write(chunks(moving(2), size=1), tmp_path / name)
        assert (tmp_path / name).exists()
    info = probe(tmp_path / "a.png")
    assert (info.num_frames, info.codec) == (1, "png")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "picture.png", "picture.jpg"])
def test_a_manifest_is_amended_after_the_last_chunk(tmp_path, name):
    frames, pulled = np.full((1, 32, 48, 3), 90, np.uint8), []

    def single():
        yield Chunk(frames, 0, 8.0)
        pulled.append(True)

    def amended():
        assert pulled, "called at the end"
        return {"plan": {"seed": 1}, "filled": {"propagated": 1.0}}

    path = write(single(), tmp_path / name, manifest={"plan": {"seed": 1}}, amended=amended)
    assert read_manifest(path) == amended() and json.loads((tmp_path / f"{name}.json").read_text()) == amended()
    assert np.abs(read_video(path)[0].astype(int) - 90).max() < 8


def test_an_amended_manifest_that_is_too_long_for_a_video_is_in_the_sidecar(tmp_path):
    long = {"plan": {}, "text": "x" * 20_000}
    path = write([Chunk(np.zeros((2, 32, 48, 3), np.uint8), 0, 8.0)], tmp_path / "clip.mp4", manifest={"plan": {}},
                 amended=lambda: long)  # fmt: skip
    assert read_manifest(path) == {"plan": {}} and json.loads((tmp_path / "clip.mp4.json").read_text()) == long
