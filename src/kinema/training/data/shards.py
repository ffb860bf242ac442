"""WebDataset shards (*.tar with key.mp4 and key.txt or key.json), unpacked as files of strangers are.

Only regular files come out, under flat names inside the folder that is given; links, devices and sparse files do not.
Shards are read uncompressed, so nothing that comes out is larger than the shard is.
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
from .captions import TEXT_COLUMNS, Tell, text_of

PIECE_BYTES = 2**20
MAX_NAME = 120
"""Characters of a flat name; what is longer is refused, since two names cut short could be one."""


def unpack(shard: Path, into: Path, endings: Container[str], refuse: Tell) -> list[Path]:
    """The clips of a shard (files whose suffix is in `endings`) as files under `into`, their captions beside them as
    .txt. refuse: called with the name of a member, or of the shard, and why it is not used."""
    written: dict[Path, str] = {}
    try:
        with shard.open("rb") as file, tarfile.open(fileobj=_InPieces(file), mode="r:") as tar:
            place = -1
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # a long shard's headers would fill the memory
                if tar.offset <= place:
                    raise tarfile.ReadError("a header of negative size")  # it would be read for ever
                place = tar.offset
                if not member.isdir():
                    _member(tar, member, into, endings, written, lambda name, why: refuse(f"{shard.name}: {name}", why))
    except tarfile.ReadError as error:
        refuse(shard.name, f"the shard cannot be read, it is no plain .tar or is cut off: {error}")
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        refuse(shard.name, f"the shard cannot be read: {error}")
    return [path for path in written if path.suffix != ".txt"]


def _member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path, endings: Container[str], written: dict[Path, str],
    refuse: Tell,
) -> None:  # fmt: skip
    name = flat(member.name)
    target, suffix = into / name, PurePosixPath(name).suffix.lower()
    if not member.isreg() or member.sparse is not None:
        return _no(refuse, member, "neither a file nor a folder: links, devices and sparse files are not unpacked")
    if suffix not in (".txt", ".json") and suffix not in endings:
        return _no(refuse, member, f"unknown ending {suffix or '(none)'}")
    if not name.removesuffix(suffix) or len(name) > MAX_NAME:
        return _no(refuse, member, f"its name is empty or longer than {MAX_NAME} characters")
    if suffix == ".json":
        target = target.with_suffix(".txt")
    if target in written:
        return _no(refuse, member, f"{written[target]} has its name already")
    held = tar.extractfile(member)
    assert held is not None
    into.mkdir(parents=True, exist_ok=True)
    if suffix in endings:
        with whole(target) as beside, beside.open("wb") as copy:
            shutil.copyfileobj(held, copy, PIECE_BYTES)
    else:
        if member.size > MAX_TEXT_BYTES:
            return _no(refuse, member, f"larger than the {MAX_TEXT_BYTES:,} bytes that are read of a caption")
        data = held.read()
        if suffix == ".json":
            try:
                text = text_of(parse_json(data, member.name, dict, error=MediaError), TEXT_COLUMNS)
            except MediaError as error:
                return _no(refuse, member, str(error).removeprefix(f"{member.name}: "))
            if text is None:
                return _no(refuse, member, "it has no text")
            data = text.encode()
        write_bytes(target, data)
    written[target] = member.name
    return None


def flat(name: str) -> str:
    """A member's name as a file name: parts joined by _, without what leads elsewhere or is a sign to some system."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    kept = "_".join(parts)
    return "".join(char if char.isprintable() and char not in ':*?"<>|' else "_" for char in kept).lstrip(".")


def _no(refuse: Tell, member: tarfile.TarInfo, why: str) -> None:
    refuse(member.name, why)


class _InPieces:
    """A file for tarfile that refuses reads of more than a piece: headers that claim gigabytes ask for them at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= PIECE_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self.file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)
