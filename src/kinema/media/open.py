"""Open untrusted files by content, never by suffix, and raise every failure as MediaError.

Playlists (HLS, DASH, concat, SDP), which could make the reader fetch other files, are not opened.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.errors import MediaError
from ..core.outside import for_terminal

_CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,mxf,ivf,h264,hevc,obu,av1,m4v,yuv4mpegpipe,"
    "wav,w64,aiff,mp3,flac,aac,ac3,caf,amr,nut,dv,rm,gxf"
)
MAX_PIXELS = 8192 * 8192
"""Files with larger pictures are refused before decoding: each picture would take hundreds of megabytes."""
_PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6")
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1")


def sniff(path: Path) -> str:
    """The kind of a path, from its first bytes: "folder", "picture" or "container". MediaError if it is missing, empty,
    a device or a pipe (which have no end), or not a legal path."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return "folder"
        if not stat.S_ISREG(mode):
            raise MediaError(f"{path}: not a regular file.")
        with path.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        reason = "no such file" if missing else f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise MediaError(f"{for_terminal(str(path), 300)}: {reason}.") from error
    if not head:
        raise MediaError(f"{path}: the file is empty.")
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    heif = head[4:8] == b"ftyp" and head[8:12] in _BRANDS
    return "picture" if webp or heif or head.startswith(_PICTURE_STARTS) else "container"


@contextlib.contextmanager
def open_container(path: Path) -> Iterator[Any]:
    """Open an av input container and close it at the end. Failures inside the block become MediaError too."""
    import av

    with reading(path):
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        with av.open(os.fspath(path.absolute()), options=options, metadata_errors="replace") as container:
            yield container


@contextlib.contextmanager
def open_picture(path: Path) -> Iterator[Any]:
    """Open a Pillow image and close it at the end. Failures inside the block become MediaError too."""
    from PIL import Image

    with reading(path), Image.open(path) as image:
        check_pixels(path, *image.size)
        yield image


def check_pixels(path: Path, width: int, height: int) -> None:
    """MediaError for a picture or frame of more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise MediaError(f"{path}: the picture size {width}x{height} exceeds the limit of {MAX_PIXELS:,} pixels.")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Convert exceptions of av and Pillow into MediaError with the file's name."""
    from PIL import Image

    try:
        yield
    except _ffmpeg_errors() as error:
        raise MediaError(f"{path}: not a readable video or sound file ({_plain(error)}).") from error
    except Image.UnidentifiedImageError as error:
        raise MediaError(f"{path}: not a picture.") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path}: the picture is too large ({error}).") from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        ArithmeticError,
        RecursionError,
        AttributeError,
        struct.error,
        IndexError,
        KeyError,
        TypeError,
    ) as error:
        raise MediaError(f"{path}: damaged or not readable ({error}).") from error


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Convert exceptions of the system, av and Pillow while writing into MediaError with the target's name. Nested in
    `reading`, it prevents a full disk from being reported as an error of the source."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, ValueError, *_ffmpeg_errors())):
            raise
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{target}: cannot be written ({reason}).") from error


def _plain(error: Exception) -> str:
    """ffmpeg's message, reworded for users where it is unclear."""
    own = str(getattr(error, "strerror", None) or type(error).__name__)
    return {
        "End of file": "it is truncated",
        "Invalid data found when processing input": "damaged, or an unsupported format",
    }.get(own, own)


def _ffmpeg_errors() -> tuple[type[Exception], ...]:
    """The exceptions of av, if it is imported: pictures are read without it."""
    av = sys.modules.get("av")
    return () if av is None else (av.error.FFmpegError,)
