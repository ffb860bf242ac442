"""Where a clip goes: names that overwrite nothing, and refusals before any work is begun."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.cli.names import unused
from kinema.core.errors import MediaError, RequestError
from kinema.core.whole import MAX_NAME_BYTES

if TYPE_CHECKING:
    from kinema.core.plan import Plan

SHEET_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SMALL_WORDS = {"a", "an", "the", "of", "and", "with", "in", "on", "at", "to", "some"}
NAME_WORDS = 2


def new_name(plan: Plan, suffix: str = ".mp4") -> Path:
    """A name here from the prompt's first telling words and the seed: kinema-red-ball-1234.mp4."""
    plain = unicodedata.normalize("NFKD", plan.prompt).encode("ascii", "ignore").decode().lower()
    words = [word for word in re.findall(r"[a-z0-9]+", plain) if word not in SMALL_WORDS]
    stem = "-".join(["kinema", *(word[:20] for word in words[:NAME_WORDS] or ["clip"]), str(plan.seed)])
    return unused(Path(stem + suffix))


def stem(video: str, unnamed: str) -> str:
    """The name of an input without its suffix, for the names of what is made of it; `unnamed` for a data: URI."""
    if video.startswith("data:"):
        return unnamed
    place = Path(video)
    return (place.name if place.is_dir() else place.stem) or unnamed  # the dots of a folder's name belong to it


def check_clip(text: str) -> None:
    """Refuse an output that could not be written: its suffix, its folder. RequestError or MediaError."""
    from kinema.media.manifest import check_sidecar, own_folder
    from kinema.media.write import SUFFIXES

    target = Path(text)
    check_name(target)
    is_folder = text.endswith(("/", os.sep)) or not target.suffix
    if not is_folder and target.suffix.lower() not in SUFFIXES:
        raise RequestError(
            f"{target.name}: no such output format.",
            field="output",
            value=text,
            legal=", ".join(SUFFIXES) + ", or a folder name ending with a slash",
            nearest=target.with_suffix(".mp4").name,
        )
    if target.is_dir() and not is_folder:
        raise RequestError(f"{text}: is a folder; end the name with a slash to write frames into it.", field="output")
    if target.is_dir() and not own_folder(target):
        raise MediaError(f"{text}: is not a folder of frames that Kinema wrote; it is not replaced.")
    if is_folder and target.is_file():
        raise MediaError(f"{text}: is a file, not a folder.")
    check_parent(target)
    check_sidecar(target)


def check_not_itself(target: str, given: str) -> None:
    """RequestError where a clip would be written over the one that it is made from."""
    if Path(target).resolve() == Path(given).resolve():
        raise RequestError("The clip would be written over itself.", field="output", value=target)


def check_apart(plan: Plan, target: str, **others: object) -> None:
    """`check_outputs`, where a plan names the inputs."""
    from kinema.engine.manifest import media_of

    check_outputs(media_of(plan), target, **others)


def check_outputs(inputs: Iterable[str], target: str, **others: object) -> None:
    """RequestError where two outputs have one name, or one of them is an input: it would be lost. others: side outputs
    by name; None for those that are not asked for."""
    from kinema.conditions.inputs import local_path

    read = {local_path(media).resolve() for media in inputs if not media.startswith("data:")}
    written: set[Path] = set()
    for name, text in (("output", target), *others.items()):
        if text is None:
            continue
        path = Path(str(text)).resolve()
        if path in read:
            raise RequestError(f"{text}: is an input, and would be replaced.", field=name, value=str(text))
        if path in written:
            raise RequestError(f"{text}: two outputs need two names.", field=name, value=str(text))
        written |= {path, path.with_name(path.name + ".json")}


def check_sheet(target: Path) -> None:
    """Refuse a contact sheet that could not be written. RequestError or MediaError."""
    check_name(target)
    if target.suffix.lower() not in SHEET_SUFFIXES:
        raise RequestError(
            f"{target.name}: a contact sheet is a picture.",
            field="sheet",
            value=str(target),
            legal=", ".join(SHEET_SUFFIXES),
            nearest=target.with_suffix(".png").name,
        )
    if target.is_dir():
        raise RequestError(f"{target}: is a folder.", field="sheet")
    check_parent(target)


def check_state(target: Path) -> None:
    """Refuse a sampling state that could not be saved."""
    check_name(target)
    if target.is_dir():
        raise RequestError(f"{target}: is a folder.", field="keep_state")
    check_parent(target)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(each.stat().st_size for each in path.rglob("*")) if path.is_dir() else path.stat().st_size


def check_name(target: Path) -> None:
    """Refuse a name that no disk takes, with the sidecar's ending. RequestError."""
    try:
        length = len(os.fsencode(target.name))
    except UnicodeEncodeError:
        length = 0
    most = MAX_NAME_BYTES - len(".json")
    if "\0" in str(target) or not 0 < length <= most:
        raise RequestError(
            f"{target.name[:40]!r}{'...' * (len(target.name) > 40)}: not a name that a file can have.", field="output",
            value=str(target)[:200], legal=f"Unicode of 1 to {most} bytes, none of them zero",
        )  # fmt: skip


def check_parent(target: Path) -> None:
    """Refuse a target whose folder is not there or cannot be written to. RequestError or MediaError."""
    check_name(target)
    folder = target.parent
    if not folder.is_dir():
        raise RequestError(
            f"{target}: the folder {folder} is not there.",
            field="output",
            value=str(target),
            legal="an existing folder",
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MediaError(f"{target}: {folder} cannot be written to ({error.strerror or error}).") from None
