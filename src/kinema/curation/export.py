"""Write the kept clips of a data set as a training set that `kinema train --data` takes: a folder of clips with
metadata.jsonl, or WebDataset shards."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError, MediaError, RequestError
from ..core.events import OnEvent, Progress, ignore
from ..core.leftovers import temporary_folder
from ..core.whole import whole, write_text
from ..media.captions import FIGURES, reason
from ..media.read import probe, read_chunks
from ..media.write import write
from .dataset import TABLE, CurationFile
from .table import read_rows

MAX_NAME = 80
SHARD_CLIPS = 1000
_MARKS = ("kept", "reasons", "error")


@dataclass(frozen=True)
class ExportedSet:
    """clips: written. failed: (clip, reason) of those that could not be read again. bare: without a caption; their
    figures are in figures.jsonl."""

    folder: Path
    clips: int
    failed: tuple[tuple[str, str], ...]
    bare: int = 0


def export(
    dataset: str | Path, out: str | Path, *, shards: bool = False, shard_clips: int = SHARD_CLIPS,
    on_event: OnEvent = ignore,
) -> ExportedSet:  # fmt: skip
    """Write the kept clips to a new folder. A clip that is a whole file is copied, others are encoded again, with their
    sound. The figures of clips with captions are in metadata.jsonl, or in key.json beside key.mp4 of a shard; those of
    the others, which have no text for a trainer, in figures.jsonl. Raises RequestError and KinemaError."""
    source, target = Path(dataset), Path(out)
    folder = Path(CurationFile.read(source).folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(f"{target}: exists.", field="output", value=str(target), legal="a new or empty folder")
    if shard_clips < 1:
        raise RequestError(f"--shard-clips {shard_clips}.", field="shard_clips", value=shard_clips, legal="1 or more")
    total = sum(row["kept"] for row in read_rows(source / TABLE, ["kept"]))
    failed: list[tuple[str, str]] = []
    bare: list[str] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        rows = _kept(source / TABLE, total, on_event)
        written = (_shards if shards else _files)(rows, folder, target, failed, bare, shard_clips)
        if bare:
            write_text(target / FIGURES, "".join(f"{line}\n" for line in bare))
    except OSError as error:
        raise KinemaError(f"{target}: cannot be written ({error.strerror or error}).") from error
    return ExportedSet(target, written, tuple(failed), len(bare))


def _kept(table: Path, total: int, on_event: OnEvent) -> Iterator[dict[str, Any]]:
    done = 0
    for row in read_rows(table):
        if row["kept"]:
            yield row
            done += 1
            on_event(Progress("export", done, total))


def _files(
    rows: Iterator[dict[str, Any]], folder: Path, target: Path, failed: list[tuple[str, str]], bare: list[str],
    _shard: int,
) -> int:  # fmt: skip
    lines, num = [], 0
    for row in rows:
        name = _name(row, folder)
        try:
            _write_clip(row, folder, target / name)
        except MediaError as error:
            failed.append((row["id"], reason(error, folder / row["source"])))
            continue
        num += 1
        if row["caption"]:  # a line must have a text
            lines.append(json.dumps({"file_name": name, "text": row["caption"], **_figures(row)}))
        else:
            bare.append(json.dumps({"file_name": name, **_figures(row)}))
    write_text(target / "metadata.jsonl", "".join(f"{line}\n" for line in lines))
    return num


def _shards(
    rows: Iterator[dict[str, Any]], folder: Path, target: Path, failed: list[tuple[str, str]], bare: list[str],
    shard_clips: int,
) -> int:  # fmt: skip
    """Shards 00000.tar, ... of at most shard_clips clips; the same clips give the same bytes."""
    written, row = 0, next(rows, None)
    while row is not None:
        with (
            temporary_folder("kinema-export") as work,
            whole(target / f"{written // shard_clips:05d}.tar") as partial,
            tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as tar,
        ):
            count = 0
            while row is not None and count < shard_clips:
                name = _name(row, folder)
                try:
                    _write_clip(row, folder, work / name)
                except MediaError as error:
                    failed.append((row["id"], reason(error, folder / row["source"])))
                else:
                    key = Path(name).stem
                    _add(tar, name, (work / name).read_bytes())
                    (work / name).unlink()
                    if row["caption"]:  # without one, the clip stands alone: a .json must have a text
                        _add(tar, f"{key}.json", json.dumps({"text": row["caption"], **_figures(row)}).encode())
                    else:
                        bare.append(json.dumps({"file_name": name, **_figures(row)}))
                    count += 1
                row = next(rows, None)
            written += count
    return written


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _write_clip(row: dict[str, Any], folder: Path, target: Path) -> None:
    source = folder / row["source"]
    if _is_whole(row, source):
        with whole(target, durable=False) as partial:
            shutil.copyfile(source, partial)
    else:
        write(read_chunks(source, start=row["start"], stop=row["stop"]), target)


def _is_whole(row: dict[str, Any], source: Path) -> bool:
    return source.suffix.lower() == ".mp4" and row["start"] == 0 and probe(source).num_frames == row["stop"]


def _name(row: dict[str, Any], folder: Path) -> str:
    """A name that tells source and span, unique by a hash of the clip's id."""
    stem = "".join(
        char if char.isalnum() or char in "-_." else "_" for char in Path(row["source"]).with_suffix("").name
    )
    mark = hashlib.sha256(row["id"].encode()).hexdigest()[:10]
    return f"{stem.lstrip('.')[:MAX_NAME]}-{row['start']:06d}-{mark}.mp4"


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    """The figures for whoever trains; columns of hashes and embeddings, which are long, stay in the table."""
    return {
        name: value
        for name, value in row.items()
        if name not in (*_MARKS, "caption", "frame_hashes", "embedding") and value is not None
    }
