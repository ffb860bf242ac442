"""A metadata.csv with another separator than commas is refused with one reason, not with one per row."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinema.media.captions import metadata


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_another_separator_is_named(mark: str, word: str, ending: str, tmp_path: Path) -> None:
    rows = [("file_name", "text"), ("a.mp4", "a red ball, at night"), ("b.mp4", "a star")]
    (tmp_path / "metadata.csv").write_bytes("".join(mark.join(row) + ending for row in rows).encode())
    refused: list[tuple[str, str]] = []
    assert metadata(tmp_path, lambda name, why: refused.append((name, why)), lambda *_: None) == {}
    ((name, why),) = refused
    assert name == "metadata.csv" and f"separated by {word}; use commas" in why


@pytest.mark.parametrize("head", ["file_name,text", "file_name,text;more", "text,file_name,weight|x"])
def test_commas_are_read(head: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text(f"{head}\na.mp4,b.mp4,c\n")
    refused: list[tuple[str, str]] = []
    metadata(tmp_path, lambda name, why: refused.append((name, why)), lambda *_: None)
    assert not any("separated" in why for _, why in refused)
