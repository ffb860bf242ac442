"""Untrusted notes in clips: each gives a value within bounds or a MediaError, in every format that has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from media_clips import chunks, moving
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kinema.core.errors import KinemaError, MediaError
from kinema.engine.upscale import upscale
from kinema.media.manifest import add_to_webp, carried, gif_comment, gif_header_length, read_manifest, sidecar_of
from kinema.media.open import MAX_PIXELS
from kinema.media.read import probe, read_image, read_video
from kinema.media.write import write
from kinema.music.clip import theme_of

FORMATS = ("mp4", "webm", "png", "jpg", "gif", "webp", "still.webp", "folder", "sidecar")
_PICTURE = Image.fromarray(np.full((16, 16, 3), 90, np.uint8))


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    found = {name: write(chunks(moving(6, 16, 16)), folder / f"a.{name}").read_bytes() for name in ("gif", "webp")}
    _PICTURE.save(folder / "still.webp", lossless=True)
    found["still.webp"] = (folder / "still.webp").read_bytes()
    return found


def noted(folder: Path, kind: str, text: str, samples: dict[str, bytes]) -> Path:
    """A valid file of this format with the text as its note."""
    path = folder / f"a.{kind}"
    if kind in ("mp4", "webm"):
        with av.open(str(path), "w", options={"movflags": "+use_metadata_tags"} if kind == "mp4" else {}) as container:
            container.metadata["kinema"] = text
            stream = container.add_stream("mpeg4" if kind == "mp4" else "libvpx", rate=12)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
            container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
            container.mux(stream.encode(None))
    elif kind == "png":
        note = PngInfo()
        note.add_text("kinema", text)
        _PICTURE.save(path, pnginfo=note)
    elif kind == "jpg":
        _PICTURE.save(path, comment=b"kinema " + text.encode("utf-8", "surrogatepass")[:60_000])
    elif kind == "gif":
        data = samples["gif"]
        at = gif_header_length(data[:13])
        first = data.find(b"!\xfe", at)  # its own note goes
        after = data.find(b"\0", first + 2 + data[first + 2]) + 1
        path.write_bytes(data[:at] + gif_comment(text) + data[after:])
    elif kind.endswith("webp"):
        data = samples[kind]
        at = data.find(b"XMP ")
        data = data if at < 0 else data[:at]
        path.write_bytes(add_to_webp(data, text, 16, 16))
    elif kind == "folder":
        path.mkdir(exist_ok=True)
        _PICTURE.save(path / "00000.png")
        (path / "kinema.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    else:
        path = folder / "b.png"
        _PICTURE.save(path)
        sidecar_of(path).write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def read_all(path: Path) -> None:
    for reader in (read_manifest, probe, read_video, carried, theme_of, upscale):
        try:
            found = reader(path)
        except KinemaError as error:
            assert reader is upscale or isinstance(error, MediaError)  # an upscale needs words
            continue
        if reader in (read_manifest, carried):
            assert isinstance(found, dict)
        if reader is probe:
            assert 0.1 <= found.fps <= 1000
            assert 0 < found.num_frames <= 36_000
            assert 0 < found.seconds < 1e6


_NAMES = st.sampled_from(["fps", "num_frames", "manifest", "plan", "prompt", "seed", "model", "conditions", "x"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)
_TEXTS = (
    st.dictionaries(_NAMES, _VALUES, max_size=5).map(lambda value: json.dumps(value) if len(str(value)) < 9000 else "1")
    | _VALUES.map(lambda value: json.dumps(value))
    | st.text(max_size=20)
)


@pytest.fixture(autouse=True)
def _any_digits():
    import sys

    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_TEXTS)
@example(text="[" * 20_000)
@example(text='{"manifest":' * 3_000)
@example(text='{"manifest": ' + "[" * 900 + "]" * 900 + "}")
@example(text='{"fps": NaN, "num_frames": 6}')
@example(text='{"fps": 1e400, "num_frames": 6}')
@example(text='{"fps": 1e-300, "num_frames": 6}')
@example(text='{"fps": true, "num_frames": true}')
@example(text='{"fps": 24, "num_frames": 999999}')
@example(text='{"fps": 24, "num_frames": -1}')
@example(text='{"fps": "24", "num_frames": [6]}')
@example(text='{"fps": 24, "num_frames": 1.5, "manifest": "\\ud800"}')
@example(text='{"manifest": {"plan": {"prompt": ["a"], "seed": "b"}}}')
@example(text='{"plan": {"prompt": "a", "seed": "b", "negative_prompt": 5, "model": {}}}')
@example(text="<!DOCTYPE a [<!ENTITY b 'c'>]>")
def test_a_value_or_a_media_error(samples, tmp_path, kind, text):
    text = text.replace("\0", "")
    try:
        path = noted(tmp_path, kind, text, samples)
    except (ValueError, UnicodeEncodeError):  # this format cannot even carry it
        return
    read_all(path)


def test_a_note_is_believed_as_far_as_the_file_goes(samples, tmp_path):
    """A WebP of one picture with a note of a million frames is one picture."""
    note = '{"fps": 24, "num_frames": 999999}'
    for kind in ("still.webp", "webp", "gif"):
        found = probe(noted(tmp_path, kind, note, samples))
        assert found.num_frames <= 6
    path = tmp_path / "long.webp"  # an animation that really lasts for hours, of one picture
    path.write_bytes(add_to_webp(samples["still.webp"], '{"fps": 60, "num_frames": 999960}', 16, 16, 16_666_000))
    assert probe(path).num_frames <= 36_000


@pytest.mark.parametrize("num_frames", [1, 2, 40, 500])
@pytest.mark.parametrize("fps", [24, 29.97, 0.5])
def test_a_still_clip_keeps_its_length_as_webp(tmp_path, num_frames, fps):
    still = np.repeat(moving(1, 24, 32), num_frames, 0)
    path = write(chunks(still, fps), tmp_path / "a.webp", manifest={"a": 1})
    info = probe(path)
    assert info.num_frames == num_frames
    assert info.fps == pytest.approx(fps, rel=1e-3)
    assert read_manifest(path) == {"a": 1}
    assert len(read_video(path)[0]) == num_frames
    with Image.open(path) as image:
        assert image.size == (32, 24)


def test_names_and_places_that_hold_no_clip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    names = [".", "..", "/", "a\0b.mp4", "x" * 300, "x" * 300 + "/a.png", "pipe", "/dev/zero", "/dev/null", "no/a.mp4"]
    for name in names:
        for reader in (probe, read_video, read_image, read_manifest):
            with pytest.raises(MediaError):
                reader(name)
        assert carried(name) == {}
    (tmp_path / "f.txt").write_text("a")
    with pytest.raises(MediaError, match="no such file"):
        probe("f.txt/a.mp4")


def test_a_folder_of_frames_by_its_dot(tmp_path, monkeypatch):
    write(chunks(moving(3, 16, 16), 12), f"{tmp_path}/frames/", manifest={"a": 1})
    monkeypatch.chdir(tmp_path / "frames")
    assert probe(".").num_frames == 3
    assert read_manifest(".") == {"a": 1}
    write(chunks(moving(4, 16, 16), 12), "./")
    monkeypatch.chdir(tmp_path / "frames")
    assert probe(".").num_frames == 4


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "webp"])
def test_pictures_have_the_limit_of_clips(tmp_path, suffix, monkeypatch):
    """One limit for both, checked before a pixel is decoded."""
    import struct
    import zlib

    assert MAX_PIXELS == 8192 * 8192
    if suffix == "png":  # 90 to 179 million pixels are what Pillow lets pass with a warning
        head = struct.pack(">IIBBBBB", 10_000, 9_500, 8, 0, 0, 0, 0)
        chunk = b"IHDR" + head
        data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "a.png").write_bytes(data + b"\0\0\0\0IEND\xaeB`\x82")
    else:
        monkeypatch.setattr("kinema.media.open.MAX_PIXELS", 80 * 80)
        Image.new("L", (80, 81)).convert("RGB" if suffix == "webp" else "L").save(tmp_path / f"a.{suffix}")
    for reader in (probe, read_video, read_image):
        with pytest.raises(MediaError, match="exceeds the limit of"):
            reader(tmp_path / f"a.{suffix}")
