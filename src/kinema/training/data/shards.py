"""Unpack WebDataset shards (*.tar with key.mp4 and key.txt or key.json), which are untrusted.

Only regular files are unpacked, under flat names inside one folder; links, devices and sparse files are refused. Shards
are uncompressed, so no file is larger than its shard.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Container
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ...core.errors import MediaError
from ...core.outside import parse_json
from ...core.text_file import MAX_TEXT_BYTES
from ...core.whole import whole, write_bytes
from ...media.captions import TEXT_COLUMNS, Report, text_of

PIECE_BYTES = 2**20
MAX_NAME = 120
"""Maximum length of a flat name; longer ones are refused, since truncated names could collide."""


def unpack(shard: Path, into: Path, endings: Container[str], refuse: Report) -> list[Path]:
    """Unpack the clips of a shard (files whose suffix is in `endings`) into a folder, and their captions as .txt;
    returns the clips. refuse: callback with the name of a member, or of the shard, and the reason."""
    written: dict[Path, str] = {}
    try:
        with shard.open("rb") as file, tarfile.open(fileobj=_InPieces(file), mode="r:") as tar:
            place = -1
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # a long shard's headers would fill the memory
                if tar.offset <= place:
                    raise tarfile.ReadError("a header of negative size")  # would loop forever
                place = tar.offset
                if not member.isdir():
                    _member(tar, member, into, endings, written, lambda name, why: refuse(f"{shard.name}: {name}", why))
    except tarfile.ReadError as error:
        refuse(shard.name, f"the shard is not an uncompressed .tar, or is truncated: {error}")
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        refuse(shard.name, f"the shard cannot be read: {error}")
    return [path for path in written if path.suffix != ".txt"]


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path, endings: Container[str], written: dict[Path, str],
    refuse: Report,
) -> None:  # fmt: skip
    name = flat(member.name)
    target, suffix = into / name, PurePosixPath(name).suffix.lower()
    if not member.isreg() or member.sparse is not None:
        return _no(refuse, member, "not a regular file; links, devices and sparse files are not unpacked")
    if suffix not in (".txt", ".json") and suffix not in endings:
        return _no(refuse, member, f"unknown ending {suffix or '(none)'}")
    if not name.removesuffix(suffix) or len(name) > MAX_NAME:
        return _no(refuse, member, f"the name is empty or longer than {MAX_NAME} characters")
    if suffix == ".json":
        target = target.with_suffix(".txt")
    if target in written:
        return _no(refuse, member, f"{written[target]} has the same name")
    held = tar.extractfile(member)
    assert held is not None
    into.mkdir(parents=True, exist_ok=True)
    if suffix in endings:
        with whole(target) as beside, beside.open("wb") as copy:
            shutil.copyfileobj(held, copy, PIECE_BYTES)
    else:
        if member.size > MAX_TEXT_BYTES:
            return _no(refuse, member, f"the caption is larger than {MAX_TEXT_BYTES:,} bytes")
        data = held.read()
        if suffix == ".json":
            try:
                text = text_of(parse_json(data, member.name, dict, error=MediaError), TEXT_COLUMNS)
            except MediaError as error:
                return _no(refuse, member, str(error).removeprefix(f"{member.name}: "))
            if text is None:
                return _no(refuse, member, "no text")
            data = text.encode()
        write_bytes(target, data)
    written[target] = member.name
    return None


def flat(name: str) -> str:
    """Convert a member's path to a file name: parts joined by _, without .. and special characters."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    kept = "_".join(parts)
    return "".join(char if char.isprintable() and char not in ':*?"<>|' else "_" for char in kept).lstrip(".")


def _no(refuse: Report, member: tarfile.TarInfo, why: str) -> None:
    refuse(member.name, why)


class _InPieces:
    """File wrapper for tarfile that rejects reads above PIECE_BYTES: a forged header can claim gigabytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= PIECE_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self.file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
