"""The error of a full disk names the output file, never the input."""

from __future__ import annotations

import contextlib
import resource
import signal

import numpy as np
import pytest
from media_clips import chunks, moving

from kinema.channel.conform import Encoding, conform
from kinema.cli.sheet import save_sheet
from kinema.conditions.control import annotate_clip
from kinema.core.errors import MediaError
from kinema.media.read import read_chunks
from kinema.media.with_sound import with_sound
from kinema.media.write import write
from kinema.media.write_audio import write_audio
from kinema.music.clip import put_under


@contextlib.contextmanager
def files_of_at_most(num_bytes):
    """Writing more into any file fails as on a full disk (EFBIG in the place of ENOSPC)."""
    before, old = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


NOISE = np.random.default_rng(0).integers(0, 255, (24, 96, 96, 3), dtype=np.uint8)
SOUND = np.random.default_rng(0).normal(0, 0.2, (48_000, 2)).astype(np.float32).clip(-1, 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write(chunks(NOISE, 24, audio=SOUND), tmp_path_factory.mktemp("source") / "source.mp4")


WRITERS = {
    **{
        f"a.{name}": lambda path, _: write(chunks(NOISE), path, quality="best")
        for name in ("mp4", "webm", "gif", "webp")
    },
    "a.png": lambda path, _: write(chunks(NOISE[:1]), path),
    "a.jpg": lambda path, _: write(chunks(NOISE[:1]), path, quality="best"),
    "frames": lambda path, _: write(chunks(NOISE[:3]), path),
    "copied.mp4": lambda path, source: write(read_chunks(source), path),
    "scored.mp4": lambda path, source: with_sound(source, SOUND, path),
    "scored.mkv": lambda path, source: with_sound(source, SOUND, path),
    "music.mp4": lambda path, source: put_under(source, path, "calm", 1, sound="own"),
    **{f"a.{name}": lambda path, _: write_audio(SOUND, path) for name in ("wav", "flac", "m4a", "mp3", "ogg")},
    **{f"sheet.{name}": lambda path, _: save_sheet(list(NOISE[:6]), path) for name in ("png", "jpg", "webp")},
    "control.mp4": lambda path, source: annotate_clip(str(source), "gray", path),
    "conformed.mp4": lambda path, source: conform(source, path, Encoding(96, 96)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_target_is_named_and_nothing_stays(tmp_path, source, name):
    before = source.read_bytes()
    with files_of_at_most(3000), pytest.raises(MediaError) as caught:
        WRITERS[name](tmp_path / name, source)
    assert str(tmp_path / name) in str(caught.value)
    assert source.name not in str(caught.value)
    assert "File too large" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert source.read_bytes() == before


def test_a_damaged_source_is_named_as_such(tmp_path, source):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(source.read_bytes()[:2000])
    for write_it in (
        lambda: with_sound(cut, SOUND, tmp_path / "out.mp4"),
        lambda: write(read_chunks(cut), tmp_path / "o.mp4"),
    ):
        with pytest.raises(MediaError, match=r"cut\.mp4"):
            write_it()
    assert [each.name for each in tmp_path.iterdir()] == ["cut.mp4"]


def test_pictures_are_small_where_they_can_be(tmp_path):
    """Below the limit, the same calls succeed."""
    with files_of_at_most(1_000_000):
        assert write(chunks(moving(3)), tmp_path / "a.mp4").is_file()
