"""Output names: defaults that overwrite nothing, and checks before any work."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.apart import check_name
from ..core.errors import MediaError, RequestError
from .names import unused

if TYPE_CHECKING:
    from ..core.plan import Plan

SHEET_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SMALL_WORDS = {"a", "an", "the", "of", "and", "with", "in", "on", "at", "to", "some"}
NAME_WORDS = 2
STEM_BYTES = 160
"""Maximum length of an input's name in a default name."""


def new_name(plan: Plan, suffix: str = ".mp4") -> Path:
    """Return an unused name from the prompt's first significant words and the seed: kinema-red-ball-1234.mp4."""
    plain = unicodedata.normalize("NFKD", plan.prompt).encode("ascii", "ignore").decode().lower()
    words = [word for word in re.findall(r"[a-z0-9]+", plain) if word not in SMALL_WORDS]
    stem = "-".join(["kinema", *(word[:20] for word in words[:NAME_WORDS] or ["clip"]), str(plan.seed)])
    return unused(Path(stem + suffix))


def stem(video: str, unnamed: str) -> str:
    """Return the name of an input without its suffix, for a default name; `unnamed` for a data: URI."""
    if video.startswith("data:"):
        return unnamed
    place = Path(video)
    name = place.name if place.is_dir() else place.stem  # the dots of a folder's name belong to it
    return name.encode("utf-8", "replace")[:STEM_BYTES].decode("utf-8", "ignore") or unnamed


def name_after(video: str, ending: str, frames: int = 0) -> Path:
    """Return an unused name here for a clip that is generated from an input: VIDEO-ENDING.mp4, of a single frame
    VIDEO-ENDING.png."""
    return unused(Path(f"{stem(video, 'clip')}-{ending}{'.png' if frames == 1 else '.mp4'}"))


def check_clip(text: str, fps: float | None = None) -> None:
    """Raise RequestError or MediaError for an output that cannot be written: its suffix, folder or frame rate."""
    from ..media.formats import SUFFIXES, check_rate
    from ..media.manifest import check_sidecar, own_folder

    check_name(text)
    target = Path(text)
    is_folder = text.endswith(("/", os.sep))
    if target.is_dir() and not is_folder:
        raise RequestError(
            f"{text}: is a folder; end the name with a slash to write frames into it.", field="output", value=text,
            legal="a file, or a folder name ending with a slash", nearest=f"{text}/",
        )  # fmt: skip
    if not is_folder and target.suffix.lower() not in SUFFIXES:
        raise RequestError(
            f"{target.name}: no such output format.",
            field="output",
            value=text,
            legal=", ".join(SUFFIXES) + ", or a folder name ending with a slash",
            nearest=target.with_suffix(".mp4").name,
        )
    if target.is_dir() and not own_folder(target):
        raise MediaError(f"{text}: is not a folder of frames that Kinema wrote; it is not replaced.")
    if is_folder and target.is_file():
        raise MediaError(f"{text}: is a file, not a folder.")
    if fps is not None:
        check_rate("" if is_folder else text, fps)
    check_parent(target)
    check_sidecar(target)


def check_sheet(target: Path) -> None:
    """Raise RequestError or MediaError for a contact sheet that cannot be written."""
    check_name(target, "sheet")
    if target.suffix.lower() not in SHEET_SUFFIXES:
        raise RequestError(
            f"{target.name}: a contact sheet is an image.",
            field="sheet",
            value=str(target),
            legal=", ".join(SHEET_SUFFIXES),
            nearest=target.with_suffix(".png").name,
        )
    if target.is_dir():
        raise RequestError(f"{target}: is a folder.", field="sheet")
    check_parent(target)


def check_state(target: Path) -> None:
    """Raise RequestError or MediaError for a sampling state that cannot be saved."""
    check_name(target, "keep_state")
    if target.is_dir():
        raise RequestError(f"{target}: is a folder.", field="keep_state")
    check_parent(target)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    return sum(each.stat().st_size for each in path.rglob("*")) if path.is_dir() else path.stat().st_size


def check_parent(target: Path) -> None:
    """Raise RequestError or MediaError for a folder that does not exist or cannot be written to."""
    check_name(target)
    folder = target.parent
    if not folder.is_dir():
        raise RequestError(
            f"{target}: the folder {folder} does not exist.",
            field="output",
            value=str(target),
            legal="an existing folder",
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MediaError(f"{target}: {folder} cannot be written to ({error.strerror or error}).") from None
