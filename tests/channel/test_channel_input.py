"""Illegal input from terminals, pages and files: refused with the field's name, without data loss."""

from __future__ import annotations

import os

import pytest
from running_channel import channel_file, config_of

from kinema.channel import control
from kinema.channel.config import read
from kinema.channel.library import Library, LibraryClip
from kinema.channel.making.ledger import Ledger
from kinema.core.errors import RequestError


@pytest.fixture
def config(tmp_path):
    found = config_of(channel_file(tmp_path))
    with Library.open(found.root) as library:
        path = library.clip_path("e00001s01")
        path.write_bytes(b"clip")
        library.add(LibraryClip("e00001s01", path, "T", frames=8, fps=8.0))
    return found


def snapshot(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }  # fmt: skip


def test_a_playlist_replaces_no_file_but_a_playlist(config, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"\x89PNG and more")
    (tmp_path / "link.ffconcat").symlink_to(config.root / "library.db")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.link(config.root / "library.db", tmp_path / "hard.ffconcat")
    os.mkfifo(tmp_path / "pipe")
    before = snapshot(tmp_path)
    root = config.root
    for target in (
        root / "library.db", root / "library.db-wal", root / "library.db-journal", root / "clips" / "e00001s01.mp4",
        root / "clips" / "new", root / "state" / "ledger.db", root / "state" / "new", root / "on_air" / "live.m3u8",
        root / ".." / root.name / "library.db", tmp_path / "my.toml", tmp_path / "photo.png",
        tmp_path / "link.ffconcat", tmp_path / "hard.ffconcat", tmp_path / "dangling", tmp_path / "pipe", tmp_path,
        tmp_path / "none" / "x", tmp_path / "nul\0", tmp_path / ("x" * 300), root,
    ):  # fmt: skip
        with pytest.raises(RequestError):
            control.playlist(config, target)
    assert snapshot(tmp_path) == before and (tmp_path / "dangling").is_symlink()
    with Library.open(root) as library:
        assert library.get("e00001s01") is not None
    for target in (tmp_path / "my.ffconcat", root / "channel.ffconcat"):
        for _ in range(2):  # a list is replaced
            assert [clip.id for clip in control.playlist(config, target)] == ["e00001s01"]
        assert target.read_text().startswith("ffconcat version 1.0")


@pytest.mark.parametrize("text", ["half \ud83d", "\udcff", "x" * 501])
def test_text_that_no_file_takes_is_refused(config, text):
    """Lone surrogates, from a terminal with another encoding or from JSON."""
    with Ledger(config.root) as ledger:
        ledger.plan("sea", 0, "T", "sea", "me", [("p", {"seconds": 1, "seed": 0})])
    for use in (
        lambda: control.ban(config, "e00001s01", text),
        lambda: control.ban(config, text, "ugly"),
        lambda: control.suggest(config, text),
    ):
        with pytest.raises(RequestError):
            use()
    with Library.open(config.root) as library:
        assert library.get("e00001s01").state == "ready"


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe", b"x = " + b"[" * 5000 + b"]" * 5000, b"x = {a=" * 500, b"theme = 5", b"making = 5", b"part = {}",
        b"part = [5]", b"rtmp = 'x'", b"[space]\ninputs = 5", b"[space]\ninputs = [[1]]", b"[space]\ntimeout_s = nan",
        b"[making]\nslowest_s = inf", b"[making]\nmodel = ['x']", b'title = "a\\u0000"', b'title = "a\\u001b[2J"',
        b"[disk]\nquota = '1e999 GB'", b"[disk]\nquota = '" + b"9" * 5000 + b" GB'", b"seed = " + b"9" * 5000,
        b"timezone = '../../etc/passwd'", b"timezone = 5", b'folder = "a\\u0000b"', b"[page]\nproxies = 5",
        b"when = 1979-05-27", b"theme = 1979-05-27", b"a = 1\na = 2", b'"\\u001b[2J" = 1',
    ],
)  # fmt: skip
def test_a_channels_file_that_is_odd_is_refused_by_name(tmp_path, text):
    path = tmp_path / "odd.toml"
    path.write_bytes(text)
    with pytest.raises(RequestError) as refused:
        read(path)
    assert "\x1b" not in str(refused.value)


def test_a_channels_file_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    for path in (tmp_path, tmp_path / "pipe.toml", tmp_path / "none.toml", "/dev/zero", tmp_path / "nul\0.toml"):
        with pytest.raises(RequestError):
            read(path)
