"""Files from other programs: real clips, rotation, matrices, ranges, variable fps, pictures of all kinds, damage."""

from __future__ import annotations

import random
import struct
from fractions import Fraction

import av
import numpy as np
import psutil
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_clips import chunks, moving, patch_errors, patches, psnr
from PIL import Image

from kinema.core.errors import MediaError
from kinema.media.manifest import read_manifest
from kinema.media.read import probe, read_audio, read_chunks, read_image, read_video
from kinema.media.timeline import exact_rate, timeline
from kinema.media.write import write

MATRIX = {"709": (Colorspace.ITU709, 1), "601": (Colorspace.ITU601, 6), "2020": (Colorspace.BT2020, 9)}
RANGE = {"limited": (ColorRange.MPEG, 1), "full": (ColorRange.JPEG, 2)}


def encode(path, frames, *, codec="libx264", pixels="yuv420p", matrix="709", span="limited", turn=0, pts=None):
    """A file written with PyAV, so that the reader is not tested with Kinema's own writer."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"crf": "4"} if codec == "libx264" else {"qscale": "1"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        if matrix:
            stream.codec_context.colorspace = MATRIX[matrix][1]
            stream.codec_context.color_range = RANGE[span][1]
        if turn:
            stream.set_display_rotation(turn)
        for k, frame_HWC in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24").reformat(
                format=pixels,
                dst_colorspace=MATRIX[matrix or "601"][0],
                dst_color_range=RANGE[span][0],
            )
            frame.pts, frame.time_base = (pts[k] if pts else 40 * k), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("matrix", ["709", "601", "2020"])
@pytest.mark.parametrize("span", ["limited", "full"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_matrix_range_and_depth_are_followed(tmp_path, matrix, span, pixels):
    path = encode(tmp_path / "a.mp4", patches(), pixels=pixels, matrix=matrix, span=span)
    errors = patch_errors(read_video(path)[0])
    assert max(errors.values()) <= 4, errors
    assert probe(path).bit_depth == (10 if "10" in pixels else 8)


def test_untagged_small_files_are_bt601(tmp_path):
    path = encode(tmp_path / "a.mp4", patches(), matrix="")
    assert max(patch_errors(read_video(path)[0]).values()) <= 4


@pytest.mark.parametrize("turn", [0, 90, 180, -90])
def test_rotation(tmp_path, turn):
    """A display rotation of `turn` degrees counterclockwise, as phones note it, is applied to the pixels."""
    frames = moving(3, 32, 64)
    path = encode(tmp_path / "a.mp4", frames, turn=turn)
    with av.open(str(path)) as container:
        noted = next(container.decode(video=0)).rotation
    upright = np.rot90(frames, round(noted / 90), axes=(1, 2))
    back, _ = read_video(path)
    info = probe(path)
    assert abs(noted) == abs(turn) and (info.height, info.width) == upright.shape[1:3] == back.shape[1:3]
    assert info.rotation == -noted % 360
    assert psnr(back, upright) > 30


def test_variable_rate_becomes_the_average(tmp_path):
    levels = np.arange(10) * 25
    frames = np.broadcast_to(levels[:, None, None, None], (10, 32, 32, 3)).astype(np.uint8)
    pts = [0, 40, 80, 120, 160, 200, 600, 640, 680, 960]  # the encoder sets the duration of the last
    path = encode(tmp_path / "a.mp4", np.ascontiguousarray(frames), pts=pts)
    info = probe(path)
    assert info.variable_fps and info.num_frames == 10 and 9 <= info.fps <= 10.5
    back, fps = read_video(path)
    assert len(back) == 10 and fps == info.fps
    shown = np.rint(back[:, 5, 5, 0] / 25).astype(int)
    due = [max(k for k, t in enumerate(pts) if t * fps / 1000 <= n + 0.5) for n in range(10)]
    assert shown.tolist() == due


def test_timeline_rules():
    steady = timeline([k / 30 + 0.001 * (k % 2) for k in range(30)], 1.0, [None, Fraction(30)])
    assert steady.fps == 30 and steady.sources is None
    assert timeline([0.0], 0.125, []).fps == 8
    assert [exact_rate(x) for x in (23.976, 29.97, 24, 12.5)] == [
        Fraction(24000, 1001), Fraction(30000, 1001), 24, Fraction(25, 2)
    ]  # fmt: skip


def test_real_clips(real_data, tmp_path):
    for name, shape, fps, least in [
        ("cat.mp4", (25, 768, 512, 3), 25, 45),
        ("road.mp4", (49, 480, 720, 3), 8, 45),
        ("realshort.mp4", (36, 240, 320, 3), 45000 / 1499, 44),  # grainy: 4:2:0 alone leaves 46.5 dB
    ]:
        frames, found = read_video(real_data / name)
        assert frames.shape == shape and found == pytest.approx(fps, rel=1e-6)
        part = np.concatenate([c.frames for c in read_chunks(real_data / name, start=3, stop=9, chunk_frames=4)])
        np.testing.assert_array_equal(part, frames[3:9])
        small = np.ascontiguousarray(frames[:6, :240, :320])
        assert psnr(read_video(write(chunks(small, found), tmp_path / name, quality="best"))[0], small) >= least
    assert read_audio(real_data / "cat.mp4") is None
    sound = read_audio(real_data / "realshort.mp4")
    assert sound.shape[1] == 1 and abs(len(sound) / 48000 - 36 / found) < 0.1 and np.abs(sound).max() <= 1
    assert probe(real_data / "realshort.mp4").has_audio
    doll = read_image(real_data / "doll.png")
    assert doll.ndim == 3 and doll.shape[2] == 3 and doll[0, 0].min() > 240


def test_pictures_of_every_kind(tmp_path):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (48, 1))
    rgb = np.stack([ramp, ramp[:, ::-1], np.full_like(ramp, 77)], -1)

    def saved(image, name, **options):
        image.save(tmp_path / name, **options)
        return read_image(tmp_path / name)

    np.testing.assert_array_equal(saved(Image.fromarray(rgb), "a.png"), rgb)
    np.testing.assert_array_equal(saved(Image.fromarray(rgb), "a.bmp"), rgb)
    np.testing.assert_array_equal(saved(Image.fromarray(ramp), "gray.png")[..., 2], ramp)
    np.testing.assert_array_equal(saved(Image.fromarray(ramp.astype(np.uint16) * 257), "gray16.png")[..., 0], ramp)
    half = np.dstack([rgb, np.where(ramp < 128, 0, 255).astype(np.uint8)])
    np.testing.assert_array_equal(saved(Image.fromarray(half), "alpha.png"), np.where(half[..., 3:] == 0, 255, rgb))
    palette = Image.fromarray(rgb).quantize(64, dither=Image.Dither.NONE)
    np.testing.assert_array_equal(saved(palette, "palette.png"), np.asarray(palette.convert("RGB")))
    assert saved(palette, "clear.png", transparency=palette.getpixel((0, 0)))[0, 0].tolist() == [255] * 3
    cmyk = saved(Image.fromarray(rgb).convert("CMYK"), "cmyk.jpg", quality=100)
    assert np.abs(cmyk.astype(int) - rgb).mean() < 12
    np.testing.assert_array_equal(saved(Image.fromarray(ramp > 128), "bits.png")[..., 0], np.where(ramp > 128, 255, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    np.testing.assert_array_equal(saved(Image.fromarray(rgb), "turned.png", exif=exif), np.rot90(rgb, -1))
    info = probe(tmp_path / "turned.png")
    assert (info.width, info.height, info.rotation, info.num_frames) == (48, 64, 90, 1)
    np.testing.assert_array_equal(read_video(tmp_path / "turned.png")[0][0], np.rot90(rgb, -1))
    (tmp_path / "photo.mp4").write_bytes((tmp_path / "a.png").read_bytes())  # content counts, not the suffix
    np.testing.assert_array_equal(read_image(tmp_path / "photo.mp4"), rgb)


def test_animations_with_their_own_delays(tmp_path):
    first, *rest = [Image.fromarray(np.full((16, 16, 3), k * 60, np.uint8)) for k in range(4)]
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=[100, 300, 100, 200], loop=0)
    info = probe(tmp_path / "a.gif")
    assert (info.fps, info.num_frames, info.variable_fps) == (10, 7, True)
    assert (read_video(tmp_path / "a.gif")[0][:, 0, 0, 0] // 60).tolist() == [0, 1, 1, 1, 2, 3, 3]


def test_folders_of_pictures(tmp_path):
    for k in (1, 2, 10):
        Image.fromarray(np.full((8, 8, 3), k, np.uint8)).save(tmp_path / f"frame{k}.png")
    (tmp_path / "notes.txt").write_text("x")
    frames, fps = read_video(tmp_path)
    assert frames[:, 0, 0, 0].tolist() == [1, 2, 10] and fps == 24
    Image.fromarray(np.zeros((9, 8, 3), np.uint8)).save(tmp_path / "frame11.png")
    with pytest.raises(MediaError, match="size of frame 3 differs"):
        read_video(tmp_path)


READERS = {
    "probe": probe,
    "video": read_video,
    "image": read_image,
    "audio": read_audio,
    "manifest": read_manifest,
}


@pytest.mark.parametrize("reader", READERS)
def test_reasons_are_told(tmp_path, reader):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("once upon a time\n" * 50)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.txt").write_text("ffconcat version 1.0\nfile text.mp4\n")
    for name, word in [
        ("none.mp4", "no such file"),
        ("empty.mp4", "empty"),
        ("text.mp4", "not a"),
        ("list.mp4", "not a"),
        ("list.txt", "not a"),
    ]:
        with pytest.raises(MediaError, match=word) as caught:
            READERS[reader](tmp_path / name)
        assert name in str(caught.value)
    if reader not in ("audio", "manifest"):
        (tmp_path / "folder").mkdir()
        with pytest.raises(MediaError, match="folder"):
            READERS[reader](tmp_path / "folder")
    if reader == "image":
        with pytest.raises(MediaError, match="not a picture"):
            read_image(write(chunks(moving(2)), tmp_path / "clip.mp4"))


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """One good file of each kind, as bytes."""
    folder = tmp_path_factory.mktemp("samples")
    found = {}
    for name in ("a.mp4", "a.webm", "a.gif", "a.webp", "a.png", "a.jpg"):
        num = 1 if name in ("a.png", "a.jpg") else 6
        sound = np.zeros((20000, 1), np.float32)
        path = write(chunks(moving(num, 24, 32), audio=sound), folder / name, manifest={"a": "b" * 50})
        found[name] = path.read_bytes()
    return found


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["a.mp4", "a.webm", "a.gif", "a.webp", "a.png", "a.jpg"]),
    keep=st.floats(0, 1),
    flips=st.integers(0, 20),
    seed=st.integers(0, 2**31),
)
def test_damaged_files_give_media_errors_only(samples, tmp_path, name, keep, flips, seed):
    data = bytearray(samples[name])
    data = data[: int(len(data) * keep)] if seed % 2 else data
    dice = random.Random(seed)
    for _ in range(flips if data else 0):
        data[dice.randrange(len(data))] = dice.randrange(256)
    path = tmp_path / name
    path.write_bytes(bytes(data))
    for reader in READERS.values():
        try:
            reader(path)
        except MediaError as error:
            assert str(path) in str(error)


def test_closing_the_iterator_closes_the_file(tmp_path):
    path = write(chunks(moving(30)), tmp_path / "a.mp4")
    iterator = read_chunks(path, chunk_frames=4)
    next(iterator)
    iterator.close()
    path.unlink()
    with pytest.raises(ValueError, match="range of frames"):
        next(read_chunks(path, start=-1))


def test_sound_in_an_unknown_codec_is_named(tmp_path):
    """A damaged or exotic codec tag leaves a sound track without a decoder."""
    path = write(chunks(moving(6, 24, 32), audio=np.zeros((20000, 1), np.float32)), tmp_path / "a.mp4")
    data = path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free")
    path.write_bytes(data)
    with pytest.raises(MediaError, match="no decoder is available") as error:
        list(read_chunks(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize("codec", ["rawvideo", "mjpeg", "ffv1"])
def test_a_file_that_claims_enormous_frames_is_refused_before_decoding(tmp_path, codec):
    """A decompression bomb: a few kilobytes with a header of 100000 x 100000."""

    path = tmp_path / "bomb.avi"
    with av.open(str(path), "w") as container:
        formats = {"rawvideo": "rgb24", "mjpeg": "yuvj420p", "ffv1": "yuv420p"}
        stream = container.add_stream(codec, rate=10, width=48, height=40, pix_fmt=formats[codec])
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((40, 48, 3), np.uint8))
            container.mux(stream.encode(frame.reformat(format=formats[codec])))
        container.mux(stream.encode())
    data = path.read_bytes()
    claimed = data.replace(struct.pack("<ii", 48, 40), struct.pack("<ii", 100_000, 100_000))
    claimed = claimed.replace(struct.pack("<ii", 48, -40), struct.pack("<ii", 100_000, -100_000))
    claimed = claimed.replace(struct.pack(">BHH", 8, 40, 48), struct.pack(">BHH", 8, 65_000, 65_000))  # inside a JPEG
    assert claimed != data
    path.write_bytes(claimed)
    before = psutil.Process().memory_info().rss
    for reader in ("probe", "video"):
        with pytest.raises(MediaError, match=r"bomb\.avi"):
            READERS[reader](path)
    assert psutil.Process().memory_info().rss - before < 200e6


def test_a_clip_that_is_cut_short_is_refused_and_not_shortened(tmp_path):
    """The index comes first and lists all frames, but only 60 % of the bytes exist."""

    noise = np.random.default_rng(0).integers(0, 255, (24, 48, 64, 3), np.uint8)
    with av.open(str(tmp_path / "whole.mp4"), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=12, options={"g": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in noise:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        file.mux(stream.encode())
    data = (tmp_path / "whole.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert len(read_video(tmp_path / "whole.mp4")[0]) == 24
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    for read in (probe, read_video):
        with pytest.raises(MediaError, match=r"cut\.mp4: contains 1\d of 24 frames"):
            read(tmp_path / "cut.mp4")
