"""Checks, before any work begins, that no output overwrites an input or another output.

Paths are compared after resolving links; existing files by device and inode, which also catches hard links and names
that differ in case only. A folder of frames covers everything in it, a clip also its sidecar <name>.json.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from .errors import RequestError

MAX_NAME_BYTES = 220
"""File systems allow 255; the names of the sidecar and of the temporary file are up to 35 bytes longer."""
_WITH_SIDECAR = ("output", "preview")
_WORDS = {"output": "clip", "sheet": "contact sheet", "keep_state": "state", "preview": "preview"}

Name = str | os.PathLike[str]


def named(of: Any) -> Iterator[str]:
    """Yield every file that a request or a plan may name: inputs of conditions, models, and options that are text.
    Model names that are not paths are included; they match no file."""
    from .conditions import FILE_FIELDS  # imported late: every command imports this module, few have a request

    for condition in of.conditions:
        for field in FILE_FIELDS:
            value = getattr(condition, field, None)
            for each in value if isinstance(value, tuple) else (value,):
                if isinstance(each, str):
                    yield each
    yield of.model
    steps = tuple(getattr(step, "plan", None) or step for step in of.upscale)
    for each in (of, *steps):
        yield from (value for value in (getattr(each, "options", None) or {}).values() if isinstance(value, str))
    yield from (getattr(step, "model", None) or step.by for step in steps)


def check_name(name: Name, field: str = "output", most: int = MAX_NAME_BYTES) -> None:
    """Raise RequestError for a name that no file can have, or of more than `most` bytes."""
    text = os.fspath(name)
    if any("\ud800" <= char <= "\udfff" for char in text) and _unencodable(text):
        raise RequestError(f"{text!r}: a file name must be valid Unicode.", field=field, value=text)
    long = max(Path(text).parts or ("",), key=lambda part: len(_bytes(part)))
    if "\0" in text:
        raise RequestError(f"{text!r}: a file name must not contain NUL.", field=field, value=text)
    if len(_bytes(long)) > most:
        raise RequestError(
            f"{long[:40]}...: the name has {len(_bytes(long))} bytes.", field=field, value=text,
            legal=f"at most {most} bytes",
        )  # fmt: skip


def keep_apart(
    written: Mapping[str, Name | None], read: Iterable[Name | None], need: str = "", *, replaced: bool = True
) -> None:
    """Raise RequestError if an output (field: path) is an input, lies in an input folder, contains an input, or is
    another output.

    need: a sentence appended to the message. replaced: whether writing a folder deletes its contents.
    """
    outputs = [(field, name, _Place.of(name, field, replaced)) for field, name in written.items() if name is not None]
    for number, (field, name, place) in enumerate(outputs):
        for other_field, _, other in outputs[:number]:
            if place.takes(other) or other.takes(place):
                words, others = (_WORDS.get(each, each) for each in (field, other_field))
                raise RequestError(
                    f"{os.fspath(name)}: the {words} cannot be the {others} itself. {need}".strip(),
                    field=field, value=os.fspath(name),
                )  # fmt: skip
    for given in read:
        source = None if given is None else _source(os.fspath(given))
        if given is None or source is None:
            continue
        for field, name, place in outputs:
            if place.takes(source) or source.has(place):
                raise RequestError(
                    f"{os.fspath(given)[:200]} is an input: it would be written over itself. "
                    f"Give the {_WORDS.get(field, field)} another name. {need}".strip(),
                    field=field, value=os.fspath(name),
                )  # fmt: skip


class _Place:
    """The real paths that a name resolves to, and the inodes of those that exist."""

    def __init__(self, paths: list[Path], is_folder: bool) -> None:
        self.is_folder = is_folder
        self.paths = [_folded(path) for path in paths]
        self.inodes = {(found.st_dev, found.st_ino) for path in paths if (found := _stat(path)) is not None}

    @classmethod
    def of(cls, name: Name, field: str, replaced: bool) -> _Place:
        check_name(name, field)
        text = os.fspath(name)
        path = Path(os.path.realpath(text))
        is_folder = replaced and (text.endswith(("/", os.sep)) or not Path(text).suffix)
        beside = [path.with_name(path.name + ".json")] if field in _WITH_SIDECAR and path.name else []
        return cls([path, *beside], is_folder)

    def takes(self, other: _Place) -> bool:
        """Whether writing here changes `other`."""
        if self.inodes & other.inodes or set(self.paths) & set(other.paths):
            return True
        return self.is_folder and any(path.is_relative_to(self.paths[0]) for path in other.paths)

    def has(self, other: _Place) -> bool:
        """Whether this is an input folder and `other` an existing file in it."""
        return self.is_folder and any(p.is_relative_to(self.paths[0]) and os.path.lexists(p) for p in other.paths)


def path_of(media: str) -> Path | None:
    """The path of `media` (a path or a file: URL); None for other URLs."""
    if media.startswith("file:"):
        return Path(unquote(urlparse(media).path))
    return None if "://" in media and _SCHEME.match(media) else Path(media).expanduser()


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def _source(media: str) -> _Place | None:
    """The place of an input; None if it is not a path (as an option without a value) or does not exist."""
    path = None if not media or media.startswith("data:") or "\0" in media else path_of(media)
    if path is None or _stat(path) is None:
        return None
    real = Path(os.path.realpath(path))
    return _Place([real], real.is_dir())


def _unencodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return True
    return False


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _folded(path: Path) -> Path:
    """The path, case-folded on a case-insensitive file system."""
    folder = path.parent
    other = folder.with_name(folder.name.swapcase())
    there, swapped = _stat(folder), _stat(other)
    same = other != folder and there is not None and swapped is not None and os.path.samestat(there, swapped)
    return Path(str(path).casefold()) if same else path


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
