"""Read sets of clips: the files of a folder with their captions and manifests, and the frames of one clip.

A set is a folder, searched with its subfolders, or one clip. Clips are video files and animations; a folder of nothing
but still pictures is a clip too. Captions come from `metadata.csv` or `metadata.jsonl`, from `clip.txt` next to
`clip.mp4`, else from the prompt of the manifest. Other files are named with a reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import MediaError, RequestError
from ...core.outside import exists
from ...media import captions
from ...media.manifest import FOLDER_NOTE, carried, prompt_of
from .contract import MOST_FRAMES, ClipFile, SetClip

if TYPE_CHECKING:
    import numpy as np

COMPANIONS = (".txt", ".json", ".jsonl", ".csv", ".md", ".html", ".npz", ".svg", ".sqlite", ".yaml", ".toml")
"""Suffixes of files that may lie beside clips and are none."""
STILLS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MASK = ".mask"
"""A clip NAME.mask.mp4 holds the mask of NAME.mp4, and is no clip of the set."""
PATH = ".path"
"""A file NAME.path.txt, .json or .svg holds the path that the object of NAME.mp4 was to follow."""
MOST_BYTES = 2**30
"""Of the frames of one clip in memory. Of larger clips, fewer frames are read, and the report says how many."""


@dataclass
class ClipSet:
    """The clips of a folder in the order of their names. refused: (name of the file, reason)."""

    path: Path
    clips: list[ClipFile] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def by_name(self) -> dict[str, ClipFile]:
        return {clip.name: clip for clip in self.clips}


def find_clips(path: Path, what: str = "clips") -> ClipSet:
    """The clips of a folder, or the one clip. what: the field of the RequestError that is raised for a path that does
    not exist, or a folder without any clip."""
    if not exists(path):
        raise RequestError(f"{path}: no such file or folder.", field=what, value=str(path))
    found = ClipSet(path)
    if not path.is_dir() or _is_frames(path):
        found.clips.append(_clip_file(path, path.stem if path.is_file() else path.name, None))
        return found
    listed = captions.metadata(path, lambda name, why: found.refused.append((name, why)), lambda *_: None)
    named: dict[str, Path] = {}
    for each in _candidates(path, found):
        shown = each.relative_to(path).as_posix()
        name = shown if each.is_dir() else str(Path(shown).with_suffix("").as_posix())
        if name in named:
            found.refused.append((shown, f"has the name of {named[name].name}"))
            continue
        named[name] = each
        try:
            found.clips.append(_clip_file(each, name, listed.get(each)))
        except MediaError as error:
            found.refused.append((shown, captions.reason(error, each).removesuffix(".")))
    if not found.clips:
        shown = "; ".join(f"{name}: {why}" for name, why in found.refused[:3])
        raise RequestError(f"{path}: contains no clips{f' ({shown})' if shown else ''}.", field=what, value=str(path))
    found.clips.sort(key=lambda clip: clip.name)
    return found


def is_clip_folder(path: Path) -> bool:
    """Whether a path is a folder of clips rather than a folder of frames."""
    return path.is_dir() and not _is_frames(path)


def mask_of(clip: ClipFile) -> Path | None:
    """The mask clip next to a clip (MASK), if there is one."""
    return next((each for each in beside(clip) if each.name.startswith(f"{clip.path.stem}{MASK}.")), None)


def beside(clip: ClipFile) -> list[Path]:
    """The files next to a clip that tell about it: NAME.mask.mp4 (MASK), NAME.path.json and the like (PATH)."""
    starts = tuple(f"{clip.path.stem}{each}." for each in (MASK, PATH))
    try:
        with os.scandir(clip.path.parent) as entries:
            names = sorted(entry.name for entry in entries if entry.name.startswith(starts))
    except OSError:
        return []
    return [clip.path.with_name(name) for name in names]


def read_clip(file: ClipFile, partner: ClipFile | None = None) -> SetClip:
    """Read the first frames of a clip, and those of its partner. Raises MediaError."""
    frames_FHWC, fps = _frames(file.path)
    return SetClip(file, frames_FHWC, fps, None if partner is None else read_clip(partner))


def _frames(path: Path) -> tuple[np.ndarray, float]:
    import numpy as np

    from ...media.read import read_chunks

    parts, size, fps = [], 0, 0.0
    for chunk in read_chunks(path, stop=MOST_FRAMES, chunk_frames=16, audio=False):
        parts.append(chunk.frames)
        size, fps = size + chunk.frames.nbytes, chunk.fps
        if size >= MOST_BYTES:
            break
    if not parts:
        raise MediaError(f"{path}: contains no frames.")
    return np.concatenate(parts), fps


def _clip_file(path: Path, name: str, listed: str | None) -> ClipFile:
    if path.is_file():
        _check_content(path)
    manifest = carried(path) or None
    caption = listed if listed is not None else captions.sidecar(path).text.strip()
    return ClipFile(name, path, caption or prompt_of(manifest or {}) or None, manifest)


def _check_content(path: Path) -> None:
    """Raise MediaError for a file that holds neither a picture nor a stream of them."""
    from ...media.open import open_container, sniff

    if sniff(path) == "container":
        with open_container(path) as container:
            if not container.streams.video:
                raise MediaError(f"{path}: contains no video.")


def _candidates(folder: Path, found: ClipSet) -> Iterator[Path]:
    """Yield the clips under a folder, in order: files, and folders of frames."""
    from ...media.endings import readable

    for place, folders, names in os.walk(folder):
        here = Path(place)
        if here != folder and _is_frames(here):
            folders.clear()
            yield here
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = here / name
            suffix = path.suffix.lower()
            if name.startswith(".") or suffix in COMPANIONS or path.stem.endswith(MASK):
                continue
            if not path.is_file():
                found.refused.append((path.relative_to(folder).as_posix(), "not a regular file"))
            elif suffix in STILLS:
                continue  # contact sheets and covers lie beside clips
            elif suffix not in readable():
                found.refused.append((path.relative_to(folder).as_posix(), f"no video (ending {suffix or 'missing'})"))
            else:
                yield path


def _is_frames(folder: Path) -> bool:
    """Whether a folder holds still pictures, and beside them at most Kinema's note."""
    if not folder.is_dir():
        return False
    names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    pictures = [name for name in names if Path(name).suffix.lower() in STILLS]
    return bool(pictures) and all(name in pictures or name == FOLDER_NOTE for name in names)
