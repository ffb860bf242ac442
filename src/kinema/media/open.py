"""Opening files that come from anywhere: by content, never by suffix, and every failure as MediaError.

Only formats that hold pictures and sound themselves are opened. Playlists and other lists of addresses (HLS,
DASH, concat, SDP), which could make the reader fetch other files, are not.
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
"""A file that claims larger pictures is refused before one is decoded: each would take hundreds of megabytes."""
_PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6")
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1")


def sniff(path: Path) -> str:
    """What a path is, from its first bytes: "folder", "picture" or "container". Raises MediaError: missing,
    empty, a device or a pipe (which have no end), a name that no file can have."""
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
    """An av input container, closed at the end; failures inside the block become MediaError too."""
    import av

    with reading(path):
        options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
        with av.open(os.fspath(path.absolute()), options=options, metadata_errors="replace") as container:
            yield container


@contextlib.contextmanager
def open_picture(path: Path) -> Iterator[Any]:
    """A Pillow image, closed at the end; failures inside the block become MediaError too."""
    from PIL import Image

    with reading(path), Image.open(path) as image:
        check_pixels(path, *image.size)
        yield image


def check_pixels(path: Path, width: int, height: int) -> None:
    """MediaError for a picture or a frame of more than MAX_PIXELS; its header is enough."""
    if width * height > MAX_PIXELS:
        raise MediaError(f"{path}: claims pictures of {width}x{height}; {MAX_PIXELS:,} pixels at most.")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what av and Pillow raise on bad files into MediaError with the file's name."""
    from PIL import Image

    try:
        yield
    except _ffmpeg_errors() as error:
        raise MediaError(f"{path}: not a readable video or sound file ({_plain(error)}).") from error
    except Image.UnidentifiedImageError as error:
        raise MediaError(f"{path}: not a picture.") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path}: too large a picture ({error}).") from error
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
    """Turn what the system, av and Pillow raise while a file is written into MediaError with the target's name. Inside
    of `reading`, this is what keeps a full disk from being blamed on the source."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, ValueError, *_ffmpeg_errors())):
            raise
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{target}: cannot be written ({reason}).") from error


def _plain(error: Exception) -> str:
    """ffmpeg's reason in words, where its own are for programmers."""
    own = str(getattr(error, "strerror", None) or type(error).__name__)
    return {
        "End of file": "it ends too soon, as a file does that was cut",
        "Invalid data found when processing input": "nothing in it is of a kind that is read",
    }.get(own, own)


def _ffmpeg_errors() -> tuple[type[Exception], ...]:
    """What av raises, where it is in use: a picture is read without it."""
    av = sys.modules.get("av")
    return () if av is None else (av.error.FFmpegError,)
