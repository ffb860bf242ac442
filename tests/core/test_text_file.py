"""Encodings of text files: a byte order mark decides, then UTF-8, then cp1252 with a note."""

from __future__ import annotations

import codecs
import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema.core.errors import MediaError
from kinema.core.text_file import decode, read_text

MARKED = {
    "utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE,
}  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff"), min_size=1)


@given(TEXT, st.sampled_from(sorted(MARKED)))
def test_a_mark_decides(text, encoding):
    assert decode(MARKED[encoding] + text.encode(encoding), "x") == (text, "")


@given(TEXT)
def test_utf_8_needs_no_mark(text):
    assert decode(text.encode(), "x") == (text, "")


def test_cp1252_is_a_guess_that_is_noted():
    found = decode("a red ball \u2013 it\u2019s caf\u00e9".encode("cp1252"), "x")
    assert found.text == "a red ball \u2013 it\u2019s caf\u00e9" and "cp1252" in found.note


def test_new_lines_of_every_system():
    assert decode(b"a\r\nb\rc\n", "x").text == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfea\0b", "marked as UTF-16"),
        (codecs.BOM_UTF8 + b"caf\xe9", "marked as UTF-8"),
        ("no mark".encode("utf-16-le"), "NUL"),
        (b"\x81 \xff", "neither UTF-8 nor cp1252"),
    ],
)
def test_what_is_no_text_is_refused(data, words):
    with pytest.raises(MediaError, match=words) as refused:
        decode(data, "words.txt", error=MediaError)
    assert str(refused.value).startswith("words.txt: ")


@given(st.binary())
def test_no_bytes_end_otherwise(data):
    with contextlib.suppress(MediaError):
        decode(data, "x", error=MediaError)


def test_files_are_read_within_bounds(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"x" * 11)
    assert read_text(file, max_bytes=11).text == "x" * 11
    with pytest.raises(MediaError, match="larger than the limit of 10 bytes"):
        read_text(file, error=MediaError, max_bytes=10)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="regular"):
        read_text(tmp_path / "pipe", error=MediaError)
