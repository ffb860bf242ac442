"""Untrusted folders and shards: every file is used or refused with a reason, and none is written outside the folder."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.core.chunk import Chunk
from kinema.core.errors import MediaError
from kinema.media import captions
from kinema.media import write as writing
from kinema.media.endings import readable
from kinema.media.write import write
from kinema.training.data import buckets, own_clips, shards

RED = "a red ball in a caf\u00e9"


def clip(path: Path, frames: int = 8) -> Path:
    """A square on gray."""
    pixels = np.full((frames, 32, 48, 3), 90, np.uint8)
    pixels[:, 4:20, 4:20] = np.arange(frames, dtype=np.uint8)[:, None, None, None] * 9
    write([Chunk(pixels, 0, 8.0)], path)
    return path


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> bytes:
    return clip(tmp_path_factory.mktemp("one") / "one.mp4").read_bytes()


def find(folder: Path, out: Path, frames: int = 8) -> own_clips.FoundClips:
    return own_clips.find(folder, out / "unpacked", frames=frames, fps=8.0)


def words(found: own_clips.FoundClips) -> dict[str, str]:
    return {item.path.name: item.caption for item in found.items}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_captions_of_every_editor(tmp_path, one, encoding):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").write_bytes(one)
    (folder / "a.txt").write_bytes(f"{RED}\r\n".encode(encoding))
    (folder / "metadata.csv").write_bytes(f"file_name,text\r\nb.mp4,{RED}\r\n".encode(encoding))
    (folder / "metadata.jsonl").write_bytes(f'{{"file_name": "c.mp4", "text": "{RED}"}}\n'.encode(encoding))
    found = find(folder, tmp_path)
    assert words(found) == dict.fromkeys(("a.mp4", "b.mp4", "c.mp4"), RED) and not found.refused
    guessed = {"a.mp4", "metadata.csv", "metadata.jsonl"} if encoding == "cp1252" else set()
    assert {name for name, why in found.notes if "cp1252" in why} == guessed


def test_endings_in_capitals(tmp_path, one):
    (tmp_path / "A.MP4").write_bytes(one)
    (tmp_path / "A.TXT").write_text("a red ball")
    found = find(tmp_path, tmp_path / "out")
    assert [item.caption for item in found.items] == ["a red ball"]
    assert not found.refused


def test_what_no_caption_can_be(tmp_path, one):
    folder = tmp_path / "in"
    folder.mkdir()
    rows = "file_name,text\n../out.mp4,x\n/etc/passwd,x\nlong.mp4," + "w" * 200_000 + "\na.mp4,fine\n"
    (folder / "metadata.csv").write_text(rows)
    deep, several = "[" * 5000 + "]" * 5000, '{"file_name": ["a.mp4"], "text": "x"}'
    (folder / "metadata.jsonl").write_text(f'{{"file_name": "a.mp4", "text": {deep}}}\n{several}\n\n7\n')
    for name in ("a", "nul", "huge"):
        (folder / f"{name}.mp4").write_bytes(one)
    (folder / "nul.txt").write_bytes("no mark".encode("utf-16-le"))
    (folder / "huge.txt").write_bytes(b"w" * (2**20 + 1))
    found = find(folder, tmp_path)
    reasons = dict(found.refused)
    assert words(found) == {"a.mp4": "fine"}
    assert "outside this folder" in reasons["metadata.csv, row 1"]
    assert "outside this folder" in reasons["metadata.csv, row 2"]
    assert "field limit" in reasons["metadata.csv, row 3"]
    assert "nested" in reasons["metadata.jsonl, row 1"] and "no file_name" in reasons["metadata.jsonl, row 2"]
    assert "expected an object" in reasons["metadata.jsonl, row 3"]
    assert reasons["nul.mp4"].startswith("nul.txt: contains NUL") and "larger than" in reasons["huge.mp4"]


def test_every_kind_that_the_reader_names_is_taken_or_refused_by_name(tmp_path, one):
    """The content counts, as in the reader: an MP4 with any suffix of its list is a clip."""
    folder = tmp_path / "in"
    folder.mkdir()
    assert {".ts", ".wmv", ".mpg", ".vob", ".flv", ".ogv", ".m2ts", *writing.SUFFIXES} <= readable()
    for ending in readable():
        (folder / f"a{ending}").write_bytes(one)
    for name in ("notes.pdf", "none", ".hidden.mp4", "alone.txt", "sub/metadata.csv", ".git/x.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(one)
    (folder / "a.mp4.json").write_text("{}")
    found = find(folder, tmp_path)
    assert {item.path.suffix for item in found.items} == readable()
    assert dict(found.refused) == {
        "notes.pdf": "unknown ending .pdf", "none": "unknown ending (none)", ".hidden.mp4": "a hidden file",
        "alone.txt": "a caption without a clip of this name", ".git": "a hidden folder",
        "sub/metadata.csv": "metadata is read only at the top of the folder",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", writing.SUFFIXES)
def test_what_kinema_writes_is_found(tmp_path, suffix):
    frames = 1 if suffix in (".png", ".jpg", ".jpeg") else 8
    clip(tmp_path / "in" / f"a{suffix}", frames)
    found = find(tmp_path / "in", tmp_path, frames)
    assert [item.path.suffix for item in found.items] == [suffix] and not found.refused


def test_links_and_what_is_no_file(tmp_path, one):
    folder, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "x.mp4").write_bytes(one)
    (folder / "out.mp4").symlink_to(elsewhere / "x.mp4")
    (folder / "a.mp4").write_bytes(one)
    (folder / "inside.mp4").symlink_to("a.mp4")
    (folder / "gone.mp4").symlink_to("nothing.mp4")
    (folder / "loop").symlink_to(folder)
    (folder / "zero.mp4").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.mp4")
    found = find(folder, tmp_path)
    assert sorted(words(found)) == ["a.mp4", "inside.mp4", "out.mp4"]
    assert [name for name, why in found.notes if "link out of the folder" in why] == ["out.mp4"]
    assert dict(found.refused) == {
        "gone.mp4": "a broken link", "loop": "a link to a folder, which is not followed",
        "zero.mp4": "not a regular file", "pipe.mp4": "not a regular file",
    }  # fmt: skip


def test_a_run_inside_of_its_data_is_not_its_data(tmp_path, one):
    out = tmp_path / "runs" / "x"
    (out / "unpacked" / "old").mkdir(parents=True)
    for place in (tmp_path, out, out / "unpacked" / "old"):
        (place / "a.mp4").write_bytes(one)
    assert [item.path for item in find(tmp_path, out).items] == [tmp_path / "a.mp4"]


def shard(path: Path, *members: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for member, content in members:
            entry = tarfile.TarInfo(member) if isinstance(member, str) else member
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def entry(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


def test_members_of_a_shard_stay_in_its_folder(tmp_path, one):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "sub").mkdir()
    inside = shard(
        folder / "s.tar", ("../../up.mp4", one), ("/abs/b.mp4", one), ("..\\win.mp4", one), (".mp4", one),
        ("x" * 300 + ".mp4", one), ("c.mp4", one), ("c.json", b"[" * 9000), ("d/e.mp4", one), ("d_e.mp4", one),
        ("f.txt", b"w" * (2**20 + 1)), (entry("l.mp4", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (entry("h.mp4", tarfile.LNKTYPE, "c.mp4"), b""), (entry("dev.mp4", tarfile.CHRTYPE), b""),
        (entry("p.mp4", tarfile.FIFOTYPE), b""),
    )  # fmt: skip
    (folder / "sub" / "s.tar").write_bytes(inside.read_bytes())
    found = find(folder, tmp_path / "run")
    names = {"up.mp4", "abs_b.mp4", "win.mp4", "c.mp4", "d_e.mp4"}
    assert {item.path.relative_to(tmp_path / "run" / "unpacked") for item in found.items} == {
        Path(place) / name for place in ("s", "sub_s") for name in names
    }
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(tmp_path / "run" / "unpacked") or path.suffix == ".tar" for path in written)
    refused = {name for name, _ in found.refused if name.startswith("s.tar")}
    assert refused == {
        f"s.tar: {name}" for name in
        (".mp4", "x" * 300 + ".mp4", "c.json", "d_e.mp4", "f.txt", "l.mp4", "h.mp4", "dev.mp4", "p.mp4")
    }  # fmt: skip


def test_what_a_run_unpacks_is_what_the_shard_holds_now(tmp_path, one):
    folder = tmp_path / "in"
    folder.mkdir()
    for text, name in (("one", "a"), ("two", "b")):
        shard(
            folder / "s.tar",
            (f"{name}.mp4", one),
            (f"{name}.txt", text.encode()),
            ("k.mp4", one),
            ("k.txt", text.encode()),
        )
        assert words(find(folder, tmp_path / "run")) == {f"{name}.mp4": text, "k.mp4": text}


def damaged(kind: str, good: bytes) -> bytes:
    if kind == "compressed":
        return gzip.compress(good)
    if kind == "cut":
        return good[:900]
    header = tarfile.TarInfo("x.mp4")
    header.type = tarfile.REGTYPE if kind == "negative" else tarfile.XHDTYPE
    header.size = {"claims": 2 * 2**30, "negative": -512, "chain": 0}[kind]  # negative: its own header is the next one
    before = good[: 512 + -(-tarfile.TarInfo.frombuf(good[:512], "utf-8", "strict").size // 512) * 512]
    return before + header.tobuf(tarfile.GNU_FORMAT) * (3000 if kind == "chain" else 1)


@pytest.mark.parametrize("kind", ["compressed", "cut", "claims", "negative", "chain"])
def test_a_damaged_shard_is_named(tmp_path, one, kind):
    good = shard(tmp_path / "good.tar", ("a.mp4", one), ("b.mp4", one)).read_bytes()
    (tmp_path / "s.tar").write_bytes(damaged(kind, good))
    refused: list[tuple[str, str]] = []
    tracemalloc.start()
    got = shards.unpack(tmp_path / "s.tar", tmp_path / "u", {".mp4"}, lambda name, why: refused.append((name, why)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [name for name, _ in refused] == ["s.tar"] and peak < 32 * 2**20
    assert [path.name for path in got] == ([] if kind in ("compressed", "cut") else ["a.mp4"])


def test_no_bytes_end_a_look_at_a_shard(tmp_path):
    """A shard of small members, mutated."""
    rng, good = (
        random.Random(0),
        shard(tmp_path / "g.tar", ("a.mp4", b"1" * 700), ("a.json", b'{"text": "x"}')).read_bytes(),
    )
    for _ in range(300):
        bad = bytearray(good)
        for _ in range(rng.choice((1, 4, 40))):
            bad[rng.randrange(2600)] = rng.randrange(256)
        (tmp_path / "s.tar").write_bytes(bad)
        for path in shards.unpack(tmp_path / "s.tar", tmp_path / "u", {".mp4"}, lambda name, why: None):
            assert path.parent == tmp_path / "u"


def test_a_clip_that_breaks_further_in_is_named_and_the_rest_used(tmp_path, one, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").write_bytes(one + name.encode())
    found, read = find(folder, tmp_path), buckets.read_chunks

    def breaks(path, **given):
        for chunk in read(path, **given):
            if path.name == "b.mp4":
                yield Chunk(chunk.frames[:3], 0, chunk.fps)
                return
            if path.name == "c.mp4":
                raise MediaError(f"{path}: damaged.")
            yield chunk

    monkeypatch.setattr(buckets, "read_chunks", breaks)
    told: list[dict] = []
    (bucket,) = buckets.fill(
        found.items, lambda frames: torch.zeros(8, 1, 2, 2), tmp_path / "cache", frames=8, fps=8.0, area=32 * 48,
        multiple=16, encoder_id="x", on_unreadable=found.mark_unreadable,
    )  # fmt: skip
    found.report_unreadable(0, tmp_path, told.append)
    assert bucket.item.tolist() == [0] and [item.path.name for item in found.used] == ["a.mp4"]
    assert dict(found.refused) == {"b.mp4": "ends after 3 frames, expected 8.", "c.mp4": "damaged."}
    report = (tmp_path / "data.txt").read_text()
    assert "1 clips" in report and "refused: b.mp4" in report and len(told) == 2
    found.mark_unreadable(0, MediaError("x"))
    with pytest.raises(ValueError, match="No clip"):
        found.report_unreadable(2, tmp_path, told.append)


def test_a_report_cannot_forge_lines_or_drive_a_terminal(tmp_path):
    found = own_clips.FoundClips()
    found.refuse("x\n3 clips\x1b[2J", "bad")
    for number in range(30):
        found.refuse(f"{number}.mp4", "too short")
    lines = found.lines(own_clips.SHOWN)
    assert lines[1] == "refused: x 3 clips\\x1b[2J: bad" and lines[-1] == "refused: 7 more; see data.txt for all"
    assert len(found.lines()) == 32


def test_columns_that_are_no_text():
    assert captions.text_of({"text": ["a"], "caption": "b", None: ["c"]}, captions.TEXT_COLUMNS) == "b"
