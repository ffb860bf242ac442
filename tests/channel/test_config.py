"""The channel file: `init` writes a file that runs, and errors name the field."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from kinema.channel.config import ChannelConfig, read, write_template
from kinema.channel.day import DayPart, part_at, upcoming
from kinema.channel.making.producer import check
from kinema.channel.running import schedule
from kinema.core.environ import secret
from kinema.core.errors import RequestError


def written(tmp_path, text):
    path = tmp_path / "x.toml"
    path.write_text(text)
    return path


def test_the_template_says_the_defaults_and_is_not_overwritten(tmp_path):
    path = write_template(tmp_path / "sea.toml")
    config = read(path)
    assert config.folder == str(tmp_path / "sea")
    assert config.model_copy(update={"folder": "channel"}) == ChannelConfig()
    check(config)  # offline, with the shipped miniature
    with pytest.raises(RequestError, match="exists"):
        write_template(path)
    with pytest.raises(RequestError, match=r"NAME\.toml"):
        write_template(tmp_path / "sea.yaml")


def test_every_commented_example_of_the_template_is_legal(tmp_path):
    text = write_template(tmp_path / "sea.toml").read_text()
    body = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        example = line.startswith("# ") and (bare.startswith("[") or " = " in bare or bare.strip(" ,") in ("]",))
        body.append(bare if example or line.startswith("#   {") else line)
    config = read(written(tmp_path, "\n".join(body)))
    assert [part.theme for part in config.part] == [
        "birds over a green meadow in the morning", "quiet night over the city",
    ]  # fmt: skip
    assert config.rtmp[0].key_env == "STREAM_KEY"
    assert config.bible.cast[0].name == "Ada"
    assert config.director.endpoint is not None
    assert config.database.password_env == "CHANNEL_DB_PASSWORD"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("titel = 'x'", "titel"),
        ("[stock]\nlow = 50", "low = 50 is more than enough = 40; legal: 0 to 40"),
        ("[stock]\nenough = -1", "stock.enough = -1"),
        ("[picture]\nwidth = 577", "picture.width = 577"),
        ("[disk]\nquota = 'much'", 'must be a size such as "20 GB"'),
        ("timezone = 'Mars/Olympus'", "timezone = 'Mars/Olympus' is unknown"),
        ("[[part]]\nfrom = '25:00'\nuntil = '06:00'\ntheme = 'x'", "must be a time of day"),
        (
            "[[part]]\nfrom='06:00'\nuntil='09:00'\ntheme='x'\n[[part]]\nfrom='08:00'\nuntil='10:00'\ntheme='y'",
            "overlap",
        ),
        ("[database]\nurl = 'mysql://x/y'", "postgresql://user@host:5432/name"),
        ("[database]\nurl = 'postgresql://u:hunter2@h/db'", "password_env"),
        ("[making]\nhere = false", "requires workers"),
        ("[making]\ninterpolate = 'rife'", "making.interpolate = 'rife'"),
        ("[[rtmp]]\nurl = 'http://x'", "rtmp.0.url"),
        ("title = ", "not valid TOML"),
        ("[director.endpoint]\nbase_url = 'ftp://x'\nmodel = 'm'", "http or https"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, told):
    with pytest.raises(RequestError) as refused:
        read(written(tmp_path, text))
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_no_file_says_how_to_get_one(tmp_path):
    with pytest.raises(RequestError, match="kinema channel init"):
        read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[making]\nmodel = 'no-such-model'", "no-such-model"),
        ("[making]\nupscale = 'kinema-mini-svd'", "cannot upscale a clip"),
        ("[making]\nmodel = 'space:nowhere'", "space:owner/name"),
        ("[making]\nmodel = 'python:no.such.module:x'", "python:module:name"),
        ("[[rtmp]]\nurl = 'rtmp://h/app'\nkey_env = 'NO_SUCH_KEY_HERE'", "NO_SUCH_KEY_HERE"),
    ],
)
def test_what_could_never_work_is_refused_before_the_start(tmp_path, text, told):
    with pytest.raises(Exception, match=told):
        check(read(written(tmp_path, text)))


def test_secrets_come_from_the_environment():
    assert secret("K", environ={"K": " s "}) == "s"
    assert secret(None, environ={}) == ""
    with pytest.raises(RequestError, match="The environment variable K"):
        secret("K", environ={})


DAY = (
    DayPart.model_validate({"from": "06:00", "until": "12:00", "theme": "birds"}),
    DayPart.model_validate({"from": "20:00", "until": "02:00", "theme": "night"}),
)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 5, 4, hour, minute, tzinfo=timezone(timedelta(hours=2)))


def test_the_day_has_parts_past_midnight_too():
    found = [part.theme if (part := part_at(DAY, at(hour))) else "" for hour in (5, 6, 11, 12, 19, 20, 23, 1, 2)]
    assert found == ["", "birds", "birds", "", "", "night", "night", "night", ""]
    assert upcoming(DAY, "sea", at(11, 50)) == ["birds", "sea", "night"]
    assert upcoming((), "sea", at(3)) == ["sea"]


def test_the_playout_gets_a_day_without_holes():
    rows = schedule(ChannelConfig(part=DAY, theme="sea"))
    assert sorted(rows) == [
        ["02:00", "06:00", "sea"], ["06:00", "12:00", "birds"], ["12:00", "20:00", "sea"], ["20:00", "02:00", "night"],
    ]  # fmt: skip
    assert schedule(ChannelConfig()) == []


def test_a_file_on_a_full_disk_leaves_nothing_that_blocks_the_next_one(tmp_path, monkeypatch):
    def full(self, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as change:
        change.setattr(Path, "write_bytes", full)
        with pytest.raises(RequestError, match="No space left"):
            write_template(tmp_path / "tv.toml")
    assert list(tmp_path.iterdir()) == []
    assert read(write_template(tmp_path / "tv.toml"))
    with pytest.raises(RequestError, match="exists"):
        write_template(tmp_path / "tv.toml")


def test_a_playlist_replaces_nothing_but_a_playlist(tmp_path):
    from kinema.cli.channel import _check_playlist

    (tmp_path / "library.db").write_bytes(b"SQLite format 3\0")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\n")
    for name in ("library.db", "."):
        with pytest.raises(RequestError, match="not an ffconcat list"):
            _check_playlist(tmp_path / name)
    _check_playlist(tmp_path / "list.ffconcat")
    _check_playlist(tmp_path / "new.ffconcat")
