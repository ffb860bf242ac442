"""Workflows in the metadata of PNG and WebP files. Pixels are not read; texts are read and inflated up to a limit.

PNG     text chunks (tEXt, zTXt, iTXt) with the keyword workflow or prompt; in an animation, chunks named comf
WebP    EXIF, any ASCII tag of the first directory whose text begins with "workflow:" or "prompt:"
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ...core.errors import MediaError
from ...core.outside import MAX_JSON_BYTES

KEYS = ("workflow", "prompt")
PNG = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 1_000_000


def in_png(path: Path) -> dict[str, str]:
    """The texts of a PNG file by key. MediaError: a damaged file, a text over MAX_JSON_BYTES."""
    found: dict[str, str] = {}
    with path.open("rb") as file:
        file.seek(len(PNG))
        for kind, size in _chunks(file, path, ">I4s", trailer=4):
            if kind in (b"tEXt", b"zTXt", b"iTXt", b"comf"):
                data = _read(file, size, path)
                keyword, _, rest = data.partition(b"\0")
                name = keyword.decode("latin-1")
                if name in KEYS:
                    found.setdefault(name, _decoded(_png_text(kind, rest, path)))
    return found


def in_webp(path: Path) -> dict[str, str]:
    """The texts of a WebP file by key. MediaError: a damaged file, EXIF over MAX_JSON_BYTES."""
    found: dict[str, str] = {}
    with path.open("rb") as file:
        file.seek(12)
        for kind, size in _chunks(file, path, "<4sI", trailer=0, even=True):
            if kind == b"EXIF":
                for text in _ascii_tags(_read(file, size, path).removeprefix(b"Exif\0\0"), path):
                    name, colon, value = text.partition(":")
                    if colon and name.lower() in KEYS:
                        found.setdefault(name.lower(), value)
    return found


def _chunks(
    file: BinaryIO, path: Path, layout: str, *, trailer: int, even: bool = False
) -> Iterator[tuple[bytes, int]]:
    """(kind, size) of each chunk, with the file at its data; the next chunk is found from the sizes alone."""
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        first, second = struct.unpack(layout, head)
        kind, size = (first, second) if layout.startswith("<") else (second, first)
        at = file.tell()
        yield kind, size
        file.seek(at + size + (size % 2 if even else 0) + trailer)
    raise MediaError(f"{path}: more than {MAX_CHUNKS:,} chunks.")


def _png_text(kind: bytes, rest: bytes, path: Path) -> bytes:
    if kind == b"zTXt":
        return _inflated(rest[1:], path)
    if kind != b"iTXt":
        return rest
    is_compressed, rest = rest[:1] == b"\1", rest[2:]
    text = rest.partition(b"\0")[2].partition(b"\0")[2]  # after the language and the translated keyword
    return _inflated(text, path) if is_compressed else text


def _inflated(data: bytes, path: Path) -> bytes:
    """Inflate at most MAX_JSON_BYTES: a text of gigabytes may be written in kilobytes."""
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(data, MAX_JSON_BYTES + 1)
    except zlib.error as error:
        raise MediaError(f"{path}: a compressed text is damaged ({error}).") from None
    if len(text) > MAX_JSON_BYTES:
        raise _too_long(path)
    return text


def _read(file: BinaryIO, size: int, path: Path) -> bytes:
    if size > MAX_JSON_BYTES:
        raise _too_long(path)
    data = file.read(size)
    if len(data) < size:
        raise MediaError(f"{path}: cut off inside a text.")
    return data


def _ascii_tags(data: bytes, path: Path) -> Iterator[str]:
    """The ASCII values of the first directory of a TIFF structure."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 10:
        return
    (start,) = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data):
        raise MediaError(f"{path}: its EXIF is damaged.")
    (count,) = struct.unpack_from(order + "H", data, start)
    total = 0
    for at in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        _, kind, length, place = struct.unpack_from(order + "HHII", data, at)
        if kind == 2 and length > 4 and place + length <= len(data):
            total += length
            if total > MAX_JSON_BYTES:  # tags may overlap
                raise _too_long(path)
            yield _decoded(data[place : place + length].partition(b"\0")[0])


def _decoded(data: bytes) -> str:
    """Text as UTF-8, which ComfyUI's ASCII is too; else as the format says, Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _too_long(path: Path) -> MediaError:
    return MediaError(f"{path}: a text in its metadata is larger than the limit of {MAX_JSON_BYTES:,} bytes.")
