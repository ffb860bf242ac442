"""A person's own clips: found, looked at and told about before anything is trained.

Legal are a folder of video files with captions (`clip.txt` beside `clip.mp4`, or `metadata.csv` / `metadata.jsonl`
with a column file_name, video or path and a column text, caption or prompt), and WebDataset shards (`*.tar` with
`key.mp4` and `key.txt`), also mixed. What cannot be used is named with its reason; nothing is skipped silently.
"""

from __future__ import annotations

import csv
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kinema.core.errors import KinemaError, MediaError
from kinema.core.outside import parse_json
from kinema.media.read import VideoInfo, probe

from . import processes

VIDEOS = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".gif", ".m4v")
FILE_COLUMNS, TEXT_COLUMNS = ("file_name", "video", "path", "file"), ("text", "caption", "prompt")
METADATA = ("metadata.csv", "metadata.jsonl")


@dataclass(frozen=True)
class Item:
    """A clip that can be used: its file, what is said of it, and what it is."""

    path: Path
    caption: str
    info: VideoInfo


@dataclass
class Found:
    """What a folder holds. refused: file and reason."""

    items: list[Item] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def report(self) -> list[str]:
        """Lines for people: counts, sizes, lengths, kinds of what is used; every file that is not, with its reason."""
        if not self.items:
            lines = ["no clip can be used"]
        else:
            sizes = Counter(f"{item.info.width}x{item.info.height}" for item in self.items)
            kinds = Counter(item.path.suffix.lower().lstrip(".") for item in self.items)
            seconds = [item.info.seconds for item in self.items]
            without = sum(not item.caption for item in self.items)
            lines = [
                f"{len(self.items)} clips, {sum(seconds):.1f} s in all ({min(seconds):.1f} to {max(seconds):.1f} s)",
                "kinds: " + ", ".join(f"{name} {count}" for name, count in kinds.most_common()),
                "sizes: " + ", ".join(f"{name} ({count})" for name, count in sizes.most_common(6)),
            ]
            if without:
                lines.append(f"{without} of them have no caption and are taught without words")
        return lines + [f"refused: {name}: {why}" for name, why in self.refused]

    def tell(self, folder: Path, out: Path, show: Callable[[dict[str, Any]], None]) -> dict[str, int]:
        """The report to whoever watches and into OUT/data.txt; what a stage remembers. ValueError where nothing can be
        used."""
        lines = self.report()
        for line in lines:
            show({"event": "data", "": line})
        if processes.first():
            (out / "data.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not self.items:
            raise ValueError(f"{folder} has no clip that can be used: " + "; ".join(lines[1:4]))
        return {"clips": len(self.items), "refused": len(self.refused)}


def find(folder: Path, unpacked: Path, *, frames: int, fps: float) -> Found:
    """All clips under a folder that last for `frames` at `fps`. unpacked: where clips of .tar shards are put.
    ValueError where there is no such folder."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    found = Found()
    told = _metadata(folder, found)
    for shard in sorted(folder.rglob("*.tar")):
        _unpack(shard, unpacked / shard.stem, found)
    places = [folder] + ([unpacked] if unpacked.is_dir() else [])
    for place in places:
        for path in sorted(place.rglob("*")):
            if path.suffix.lower() in VIDEOS and path.is_file():
                _look_at(path, told, found, frames, fps)
    known = {item.path for item in found.items} | {folder / name for name, _ in found.refused}
    for path in told:
        if path not in known and not path.exists():
            found.refused.append((str(path.relative_to(folder)), "named in the metadata, but not there"))
    return found


def _look_at(path: Path, told: dict[Path, str], found: Found, frames: int, fps: float) -> None:
    beside = path.with_suffix(".txt")
    caption = told.get(path)
    if caption is None:
        caption = beside.read_text(encoding="utf-8", errors="replace").strip() if beside.is_file() else ""
    try:
        info = probe(path)
    except MediaError as error:
        found.refused.append((path.name, str(error)))
        return
    needed = (frames - 1) / fps
    last = (info.num_frames - 1) / info.fps
    if last + 0.5 / info.fps < needed:
        found.refused.append(
            (path.name, f"lasts {info.seconds:.2f} s; {frames} frames at {fps:g} fps need {needed:.2f} s")
        )
        return
    found.items.append(Item(path, caption, info))


def _metadata(folder: Path, found: Found) -> dict[Path, str]:
    told: dict[Path, str] = {}
    for name in METADATA:
        for number, row in enumerate(_rows(folder / name), start=1):
            file = next((row[column] for column in FILE_COLUMNS if row.get(column)), None)
            text = next((row[column] for column in TEXT_COLUMNS if row.get(column)), None)
            if file is None or text is None:
                missing = "file_name" if file is None else "text"
                found.refused.append((f"{name}, row {number}", f"it has no {missing}"))
                continue
            told[folder / file] = str(text).strip()
    return told


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            yield from csv.DictReader(file)
            return
        for line in file:
            if line.strip():
                try:
                    yield parse_json(line, str(path), dict)
                except KinemaError:
                    yield {}


def _unpack(shard: Path, into: Path, found: Found) -> None:
    """Clips and captions of a shard under flat names; a name that would leave the folder is no part of one."""
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                name = "_".join(part for part in PurePosixPath(member.name).parts if part not in ("/", "..", "."))
                target, suffix = into / name, PurePosixPath(name).suffix.lower()
                if not member.isfile() or suffix not in (*VIDEOS, ".txt", ".json"):
                    continue
                held = tar.extractfile(member)
                assert held is not None
                data = held.read()
                if suffix == ".json":
                    row: dict[str, Any] = parse_json(data, f"{shard}: {member.name}", dict)
                    text = next((row[column] for column in TEXT_COLUMNS if row.get(column)), None)
                    if text is None:
                        continue
                    target, data = target.with_suffix(".txt"), str(text).encode()
                into.mkdir(parents=True, exist_ok=True)
                if not target.exists() or target.stat().st_size != len(data):
                    target.write_bytes(data)
    except (tarfile.TarError, OSError, ValueError, KinemaError) as error:
        found.refused.append((shard.name, f"the shard cannot be read: {error}"))
