"""Find and check the user's clips before training.

A folder may hold clips (the types of media/endings.py) with captions (`clip.txt` next to `clip.mp4`, or `metadata.csv`
or `metadata.jsonl` with a column file_name, video or path and a column text, caption or prompt) and WebDataset shards
(`*.tar` with `key.mp4` and `key.txt`). Every file that cannot be used is reported with a reason; none is skipped
silently.

Links to files are followed, since curated folders and hub snapshots consist of them; links out of the folder are
reported with their target. Links to folders are not followed. Only regular files are opened.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import MediaError
from ...core.outside import for_terminal
from ...core.text_file import Text
from ...core.whole import whole
from ...media import captions
from ...media.captions import METADATA
from ...media.endings import readable
from ...media.manifest import FOLDER_NOTE
from ...media.read import VideoInfo, probe
from ..core import processes
from . import shards

SHOWN = 24
"""Number of lines shown of each kind; OUT/data.txt has all."""


@dataclass(frozen=True)
class Item:
    """A usable clip: its file, caption and video properties."""

    path: Path
    caption: str
    info: VideoInfo


@dataclass
class FoundClips:
    """The clips of a folder. refused: (file, reason). notes: (file, assumption). unreadable: indices of items that
    could not be decoded to their end; they stay in `items`, so that indices do not change."""

    items: list[Item] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    unreadable: set[int] = field(default_factory=set)

    def refuse(self, name: str, why: str) -> None:
        self.refused.append((name, why))

    def note(self, name: str, what: str) -> None:
        self.notes.append((name, what))

    def mark_unreadable(self, number: int, error: MediaError) -> None:
        """Mark an item that cannot be decoded to its end as unusable."""
        self.unreadable.add(number)
        path = self.items[number].path
        self.refuse(path.name, captions.reason(error, path))

    @property
    def used(self) -> list[Item]:
        return [item for number, item in enumerate(self.items) if number not in self.unreadable]

    def lines(self, most: int | None = None) -> list[str]:
        """The report as text: counts, sizes and durations of the usable clips, then refused files with reasons, then
        notes. most: maximum number of lines of the last two kinds each."""
        items = self.used
        if not items:
            lines = ["no usable clip"]
        else:
            sizes = Counter(f"{item.info.width}x{item.info.height}" for item in items)
            kinds = Counter(item.path.suffix.lower().lstrip(".") for item in items)
            seconds = [item.info.seconds for item in items]
            without = sum(not item.caption for item in items)
            lines = [
                f"{len(items)} clips, {sum(seconds):.1f} s in all ({min(seconds):.1f} to {max(seconds):.1f} s)",
                "kinds: " + ", ".join(f"{name} {count}" for name, count in kinds.most_common()),
                "sizes: " + ", ".join(f"{name} ({count})" for name, count in sizes.most_common(6)),
            ]
            if without:
                lines.append(f"{without} of them have no caption")
        for kind, found in (("refused", self.refused), ("note", self.notes)):
            lines += [f"{kind}: {name}: {why}" for name, why in found[:most]]
            if more := len(found) - len(found[:most]):
                lines.append(f"{kind}: {more:,} more; see data.txt for all")
        return [for_terminal(line.replace("\n", " ")) for line in lines]

    def report(self, folder: Path, out: Path, show: Callable[[dict[str, Any]], None]) -> dict[str, int]:
        """Show the report, write it to OUT/data.txt and return the stage's results. Raises ValueError if no clip is
        usable."""
        for line in self.lines(SHOWN):
            show({"event": "data", "": line})
        self.write(out)
        if not self.items:
            raise ValueError(f"No usable clip in {folder}: " + "; ".join(self.lines()[1:4]))
        return {"clips": len(self.items), "refused": len(self.refused)}

    def report_unreadable(self, before: int, out: Path, show: Callable[[dict[str, Any]], None]) -> None:
        """Show the refusals after the first `before`, and write the report again. Raises ValueError if no clip is
        left."""
        for name, why in self.refused[before:]:
            show({"event": "data", "": for_terminal(f"refused: {name}: {why}")})
        if len(self.refused) > before:
            self.write(out)
        if not self.used:
            raise ValueError("No clip can be decoded to its end: " + "; ".join(self.lines()[1:4]))

    def write(self, out: Path) -> None:
        if processes.first():
            with whole(out / "data.txt") as file:
                file.write_text("\n".join(self.lines()) + "\n", encoding="utf-8")


def find(folder: Path, unpacked: Path, *, frames: int, fps: float) -> FoundClips:
    """Find all clips under a folder that have `frames` frames at `fps`. unpacked: destination of clips from .tar
    shards; this folder and its parent are not searched. Raises ValueError if the folder is missing."""
    if not folder.is_dir():
        raise ValueError(f"No such folder: {folder}.")
    found, endings = FoundClips(), readable()
    listed = captions.metadata(folder, found.refuse, found.note)
    files = list(_files(folder, {_place(unpacked), _place(unpacked.parent)}, found))
    existing = set(files)
    captioned = {path.with_suffix(".txt") for path in files if path.suffix.lower() in endings}
    for path in files:
        name, suffix = path.relative_to(folder).as_posix(), path.suffix.lower()
        if suffix == ".tar":
            place = unpacked / shards.flat(name.removesuffix(path.suffix))
            for clip in shards.unpack(path, place, endings, found.refuse):
                _add(clip, f"{name}: {clip.name}", {}, found, frames, fps)
        elif suffix in endings:
            _add(path, name, listed, found, frames, fps)
        elif suffix == ".txt" and (path.suffix not in captions.ENDINGS or path.with_suffix(".txt") not in captioned):
            found.refuse(name, "a caption without a clip of this name")
        elif path.name in METADATA and path.parent != folder:
            found.refuse(name, "metadata is read only at the top of the folder")
        elif not (
            suffix == ".txt"
            or path.name in (*METADATA, captions.FIGURES, FOLDER_NOTE)
            or (suffix == ".json" and path.with_suffix("") in existing)
        ):
            found.refuse(name, f"unknown ending {suffix or '(none)'}")
    for path in listed:
        if path not in existing:
            found.refuse(path.relative_to(folder).as_posix(), "listed in the metadata, but missing")
    return found


def _files(folder: Path, leave_out: set[str], found: FoundClips) -> Iterator[Path]:
    """Yield the regular files under a folder in order. Other entries are refused, links out of the folder noted."""
    inside = folder.resolve()
    for place, folders, names in os.walk(folder):
        here = Path(place)
        for name in sorted(folders):
            path = here / name
            if _place(path) in leave_out:
                folders.remove(name)
            elif name.startswith(".") or path.is_symlink():
                folders.remove(name)
                why = "a hidden folder" if name.startswith(".") else "a link to a folder, which is not followed"
                found.refuse(path.relative_to(folder).as_posix(), why)
        folders.sort()
        for name in sorted(names):
            path = here / name
            shown = path.relative_to(folder).as_posix()
            if name.startswith("."):
                found.refuse(shown, "a hidden file")
            elif not path.is_file():
                found.refuse(shown, "not a regular file" if path.exists() else "a broken link")
            else:
                if path.is_symlink() and not (target := path.resolve()).is_relative_to(inside):
                    found.note(shown, f"a link out of the folder, to {target}")
                yield path


def _place(path: Path) -> str:
    return os.path.realpath(path)


def _add(path: Path, name: str, listed: dict[Path, str], found: FoundClips, frames: int, fps: float) -> None:
    """Check a clip and add it to the items, or refuse it. listed: captions of the metadata."""
    try:
        info = probe(path)
        caption, assumed = Text(listed[path]) if path in listed else captions.sidecar(path)
    except MediaError as error:
        found.refuse(name, captions.reason(error, path))
        return
    needed = (frames - 1) / fps
    last = (info.num_frames - 1) / info.fps
    if last + 0.5 / info.fps < needed:
        found.refuse(name, f"lasts {info.seconds:.2f} s; {frames} frames at {fps:g} fps need {needed:.2f} s")
        return
    found.items.append(Item(path, caption.strip(), info))
    if assumed:
        found.note(name, f"caption {assumed}" if caption else assumed)
