"""Transparency is composited over white in clips, pictures, animations and folders."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from kinema.media.read import probe, read_chunks, read_image, read_video

HIDDEN, SHOWN = (200, 30, 40), (30, 90, 200)


def see_through() -> np.ndarray:
    """One third transparent over a hidden red, one third half, one third opaque: uint8 RGBA (32, 96, 4)."""
    picture = np.zeros((32, 96, 4), np.uint8)
    picture[:, :32] = (*HIDDEN, 0)
    picture[:, 32:64] = (*SHOWN, 128)
    picture[:, 64:] = (*SHOWN, 255)
    return picture


def wanted(half: bool = True) -> list[np.ndarray]:
    shown = np.array(SHOWN)
    mixed = (shown * 128 + 255 * 127) / 255
    return [np.array([255, 255, 255]), mixed if half else shown, shown]


def clip(path: Path, codec: str, pixels: str, num_frames: int = 60) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options={"auto-alt-ref": "0"} if "vpx" in codec else {})
        stream.width, stream.height, stream.pix_fmt = 96, 32, pixels
        if "vpx" in codec:
            stream.codec_context.gop_size = 20
            stream.metadata["alpha_mode"] = "1"
        for k in range(num_frames):
            frame = av.VideoFrame.from_ndarray(see_through(), format="rgba").reformat(format=pixels)
            frame.pts, frame.time_base = k, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        ("webm", "libvpx-vp9", "yuva420p"), ("webm", "libvpx", "yuva420p"), ("mkv", "libvpx-vp9", "yuva420p"),
        ("mkv", "ffv1", "yuva420p"), ("mkv", "ffv1", "yuva444p10le"), ("mov", "qtrle", "argb"), ("mov", "png", "rgba"),
        ("mov", "prores_ks", "yuva444p10le"), ("avi", "ffv1", "bgra"), ("nut", "rawvideo", "rgba"),
    ],
)  # fmt: skip
def test_clips(tmp_path, suffix, codec, pixels):
    path = clip(tmp_path / f"a.{suffix}", codec, pixels)
    frames, _ = read_video(path)
    assert len(frames) == probe(path).num_frames == 60
    for frames_FHWC in (frames, next(read_chunks(path, start=50)).frames):
        for frame_HWC in (frames_FHWC[0], frames_FHWC[-1]):
            for place, color in zip((16, 48, 80), wanted()):
                assert np.abs(frame_HWC[16, place].astype(int) - color).max() <= 8, (place, frame_HWC[16, place])


def _save(path: Path, mode: str, **options) -> None:
    Image.fromarray(see_through()).convert(mode).save(path, **options)


@pytest.mark.parametrize(
    ("name", "mode", "off"),
    [("a.png", "RGBA", 0), ("a.webp", "RGBA", 0), ("a.tif", "RGBA", 0), ("la.png", "LA", 0), ("p.png", "PA", 0)],
)
def test_pictures(tmp_path, name, mode, off):
    options = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    if mode == "PA":
        Image.fromarray(see_through()).quantize(16).save(tmp_path / name)  # a palette with transparency in each entry
    else:
        _save(tmp_path / name, mode, **options)
    picture = read_image(tmp_path / name)
    if mode == "LA":
        gray = Image.new("RGB", (1, 1), SHOWN).convert("L").getpixel((0, 0))
        colors = [255, (gray * 128 + 255 * 127) / 255, gray]
    else:
        colors = wanted()
    for place, color in zip((16, 48, 80), colors):
        assert np.abs(picture[16, place].astype(int) - color).max() <= max(off, 1)
    np.testing.assert_array_equal(read_video(tmp_path / name)[0][0], picture)


@pytest.mark.parametrize("depth", [8, 16])
def test_one_gray_that_is_transparent(tmp_path, depth):
    gray = np.full((8, 16), 100 * (257 if depth == 16 else 1), np.uint16 if depth == 16 else np.uint8)
    gray[:, 8:] = 0
    Image.fromarray(gray).save(tmp_path / "a.png", transparency=0)
    assert read_image(tmp_path / "a.png")[4, [2, 12], 0].tolist() == [100, 255]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations(tmp_path, name):
    """GIF has no partial transparency."""
    pictures = []
    for k in range(3):
        picture = see_through()
        picture[:8, 64:] = (10 * k, 10, 10, 255)
        if name == "a.gif":
            picture[:, 32:64, 3] = 255
        pictures.append(Image.fromarray(picture))
    options = {"lossless": True, "exact": True} if name == "a.webp" else {"disposal": 2} if name == "a.gif" else {}
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=100, loop=0, **options)
    frames, fps = read_video(tmp_path / name)
    assert (len(frames), fps) == (3, 10)
    for k, frame_HWC in enumerate(frames):
        for place, color in zip((16, 48, 80), wanted(half=name != "a.gif")):
            assert np.abs(frame_HWC[16, place].astype(int) - color).max() <= 4
        assert abs(int(frame_HWC[4, 80, 0]) - 10 * k) <= 4
    np.testing.assert_array_equal(read_image(tmp_path / name), frames[0])


def test_folders(tmp_path):
    for k in range(2):
        _save(tmp_path / f"{k}.png", "RGBA")
    frames, _ = read_video(tmp_path)
    for place, color in zip((16, 48, 80), wanted()):
        assert np.abs(frames[1][16, place].astype(int) - color).max() <= 1
