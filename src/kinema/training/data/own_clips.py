"""A person's own clips: found, looked at and told about before anything is trained.

Legal are a folder of clips (whatever the reader opens, by media/endings.py) with captions (`clip.txt` beside
`clip.mp4`, or `metadata.csv` / `metadata.jsonl` with a column file_name, video or path and a column text, caption or
prompt), and WebDataset shards (`*.tar` with `key.mp4` and `key.txt`), also mixed. What cannot be used is named with its
reason; nothing is skipped silently.

Links to files are followed, since curated folders and snapshots of the hub are made of them, and those that lead out of
the folder are named in the report with where they lead; links to folders are not followed. Nothing but regular files is
opened.
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
from ...media.endings import readable
from ...media.manifest import FOLDER_NOTE
from ...media.read import VideoInfo, probe
from ..core import processes
from . import captions, shards
from .captions import METADATA

SHOWN = 24
"""So many lines of each kind are shown; OUT/data.txt has all."""


@dataclass(frozen=True)
class Item:
    """A clip that can be used: its file, what is said of it, and what it is."""

    path: Path
    caption: str
    info: VideoInfo


@dataclass
class FoundClips:
    """What a folder holds. refused: file and reason. notes: file and what was assumed about it. spoilt: numbers of
    items that turned out to be unreadable further in; they stay in the list, which numbers clips."""

    items: list[Item] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    spoilt: set[int] = field(default_factory=set)

    def refuse(self, name: str, why: str) -> None:
        self.refused.append((name, why))

    def note(self, name: str, what: str) -> None:
        self.notes.append((name, what))

    def spoil(self, number: int, error: MediaError) -> None:
        """An item that cannot be read to its end is not used after all."""
        self.spoilt.add(number)
        path = self.items[number].path
        self.refuse(path.name, captions.reason(error, path))

    @property
    def used(self) -> list[Item]:
        return [item for number, item in enumerate(self.items) if number not in self.spoilt]

    def report(self, most: int | None = None) -> list[str]:
        """Lines for people: counts, sizes, lengths, kinds of what is used; every file that is not, with its reason;
        what was assumed. most: lines of the last two kinds each."""
        items = self.used
        if not items:
            lines = ["no clip can be used"]
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
                lines.append(f"{without} of them have no caption and are taught without words")
        for kind, found in (("refused", self.refused), ("note", self.notes)):
            lines += [f"{kind}: {name}: {why}" for name, why in found[:most]]
            if more := len(found) - len(found[:most]):
                lines.append(f"{kind}: {more:,} more, all of them in data.txt")
        return [for_terminal(line.replace("\n", " ")) for line in lines]

    def tell(self, folder: Path, out: Path, show: Callable[[dict[str, Any]], None]) -> dict[str, int]:
        """The report to whoever watches and into OUT/data.txt; what a stage remembers. ValueError where nothing can be
        used."""
        for line in self.report(SHOWN):
            show({"event": "data", "": line})
        self.write(out)
        if not self.items:
            raise ValueError(f"{folder} has no clip that can be used: " + "; ".join(self.report()[1:4]))
        return {"clips": len(self.items), "refused": len(self.refused)}

    def tell_spoilt(self, before: int, out: Path, show: Callable[[dict[str, Any]], None]) -> None:
        """What was refused since there were `before` of them, and the file anew. ValueError where nothing is left."""
        for name, why in self.refused[before:]:
            show({"event": "data", "": for_terminal(f"refused: {name}: {why}")})
        if len(self.refused) > before:
            self.write(out)
        if not self.used:
            raise ValueError("No clip can be read to its end: " + "; ".join(self.report()[1:4]))

    def write(self, out: Path) -> None:
        if processes.first():
            with whole(out / "data.txt") as file:
                file.write_text("\n".join(self.report()) + "\n", encoding="utf-8")


def find(folder: Path, unpacked: Path, *, frames: int, fps: float) -> FoundClips:
    """All clips under a folder that last for `frames` at `fps`. unpacked: where clips of .tar shards are put; this
    folder and the one that it lies in are not looked through. ValueError where there is no such folder."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    found, endings = FoundClips(), readable()
    told = captions.metadata(folder, found.refuse, found.note)
    files = list(_files(folder, {_place(unpacked), _place(unpacked.parent)}, found))
    there = set(files)
    worded = {path.with_suffix(".txt") for path in files if path.suffix.lower() in endings}
    for path in files:
        name, suffix = path.relative_to(folder).as_posix(), path.suffix.lower()
        if suffix == ".tar":
            place = unpacked / shards.flat(name.removesuffix(path.suffix))
            for clip in shards.unpack(path, place, endings, found.refuse):
                _look_at(clip, f"{name}: {clip.name}", {}, found, frames, fps)
        elif suffix in endings:
            _look_at(path, name, told, found, frames, fps)
        elif suffix == ".txt" and (path.suffix not in captions.ENDINGS or path.with_suffix(".txt") not in worded):
            found.refuse(name, "words without a clip of this name beside them")
        elif path.name in METADATA and path.parent != folder:
            found.refuse(name, "metadata are read at the top of the folder only")
        elif not (
            suffix == ".txt"
            or path.name in (*METADATA, FOLDER_NOTE)
            or (suffix == ".json" and path.with_suffix("") in there)
        ):
            found.refuse(name, f"unknown ending {suffix or '(none)'}")
    for path in told:
        if path not in there:
            found.refuse(path.relative_to(folder).as_posix(), "named in the metadata, but not there")
    return found


def _files(folder: Path, leave_out: set[str], found: FoundClips) -> Iterator[Path]:
    """Regular files below a folder in order; what else is there is refused by name, links that lead out are noted."""
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
                found.refuse(shown, "no regular file" if path.exists() else "a link to nothing")
            else:
                if path.is_symlink() and not (target := path.resolve()).is_relative_to(inside):
                    found.note(shown, f"a link out of the folder, to {target}")
                yield path


def _place(path: Path) -> str:
    return os.path.realpath(path)


def _look_at(path: Path, name: str, told: dict[Path, str], found: FoundClips, frames: int, fps: float) -> None:
    try:
        info = probe(path)
        caption, assumed = Text(told[path]) if path in told else captions.beside(path)
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
        found.note(name, f"its words are {assumed}" if caption else assumed)
