"""Where the pixels of a request come from: a path, a `file:` URL or a `data:` URI."""

from __future__ import annotations

import base64
import binascii
import hashlib
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from ..core.apart import path_of
from ..core.errors import MediaError
from ..core.leftovers import scratch

if TYPE_CHECKING:
    import numpy as np

    from ..media.read import VideoInfo

SUFFIXES = {
    "image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif",
    "video/mp4": ".mp4", "video/webm": ".webm",
}  # fmt: skip


def local_path(media: str) -> Path:
    """The path that a media word names. MediaError for other URLs: nothing is fetched from a network here."""
    if "\0" in media:
        raise MediaError(f"{media[:200]!r}: no name of a file.")
    path = path_of(media)
    if path is None:
        raise MediaError(f"{media}: only paths, file: URLs and data: URIs are read; fetch it to a file first.")
    return path


def check_regular(media: str) -> Path:
    """The path that a media word names. MediaError for devices and pipes, which have no end, also in a folder; what is
    not there is for the reader to tell."""
    path = local_path(media)
    with suppress(OSError):
        for each in (path, *(path.iterdir() if path.is_dir() else ())):
            mode = each.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise MediaError(f"{str(each)[:200]}: not a regular file or folder.")
    return path


@contextmanager
def as_file(media: str) -> Iterator[Path]:
    """The media as a file for the length of a `with` block (a `data:` URI becomes a temporary one)."""
    if not media.startswith("data:"):
        yield check_regular(media)
        return
    kind, content = _data_uri(media)
    with scratch("input") as folder:
        path = folder / f"inline{SUFFIXES.get(kind, '.bin')}"
        path.write_bytes(content)
        yield path


def picture(media: str) -> np.ndarray:
    """A picture as uint8 RGB, (H, W, 3). MediaError where it cannot be read."""
    from ..media.read import read_image

    with as_file(media) as path:
        return read_image(path)


def clip(media: str, stop: int | None = None) -> tuple[np.ndarray, float]:
    """The first `stop` frames of a clip (all for None) as uint8 RGB (F, H, W, 3), and its frames a second."""
    import numpy as np

    from ..media.read import read_chunks

    with as_file(media) as path:
        chunks = list(read_chunks(path, stop=stop))
    if not chunks:
        raise MediaError(f"{media[:200]}: no frames in it.")
    return np.concatenate([chunk.frames for chunk in chunks]), chunks[0].fps


def tail(media: str, count: int) -> np.ndarray:
    """The last `count` frames of a clip as uint8 RGB (F, H, W, 3); memory does not grow with the clip's length."""
    import numpy as np

    from ..media.read import read_chunks

    last: deque[np.ndarray] = deque(maxlen=count)
    with as_file(media) as path:
        for chunk in read_chunks(path, audio=False):
            last.extend(frame.copy() for frame in chunk.frames[-count:])
    if not last:
        raise MediaError(f"{media}: no frames in it.")
    return np.stack(last)


def info(media: str) -> VideoInfo:
    """Size, length and rate of a clip, without decoding it."""
    from ..media.read import probe

    with as_file(media) as path:
        return probe(path)


def check_sound(media: str) -> None:
    """MediaError where a file has no sound that can be read."""
    from ..media.read import read_audio

    with as_file(media) as path:
        if read_audio(path, seconds=0.1) is None:
            raise MediaError(f"{media[:200]}: no sound in it.")


def remarks(found: VideoInfo) -> list[str]:
    """What an edit of this clip does not keep, in sentences for its plan."""
    notes = range_remarks(found)
    if found.variable_fps:
        notes.append(f"The clip has no constant rate; it is written with {found.fps:g} frames a second.")
    return notes


def range_remarks(found: VideoInfo) -> list[str]:
    """What becomes of a clip's range, colours and depth when it is read and written, in one sentence, or none."""
    deep = found.bit_depth > 8
    bits = f"{found.bit_depth} bits a colour"
    if found.transfer != "SDR":
        also, eight = (f", {bits}", " with 8 bits") if deep else ("", "")
        return [f"The clip is HDR ({found.transfer}{also}); it is tone-mapped, and written as SDR{eight}."]
    if found.primaries == "BT.2020":
        also, eight = (f" and {bits}", " and 8 bits") if deep else ("", "")
        return [f"The clip has the colours of BT.2020{also}; it is read and written with those of BT.709{eight}."]
    return [f"The clip has {bits}; it is read and written with 8."] if deep else []


def digest(media: str) -> str:
    """SHA-256 of the media's bytes (of a folder: of its files in order). MediaError where it cannot be read."""
    try:
        with as_file(media) as path:
            files: Iterable[Path] = sorted(path.iterdir()) if path.is_dir() else [path]
            whole = hashlib.sha256()
            for file in files:
                with check_regular(str(file)).open("rb") as stream:
                    while block := stream.read(1 << 20):
                        whole.update(block)
            return whole.hexdigest()
    except OSError as error:
        raise MediaError(f"{media[:200]}: {error.strerror or error}.") from None


def inline_png(pixels: object) -> str:
    """A picture held in memory (PIL image, or uint8 array HWC) as a `data:` URI, so that a request stays JSON."""
    import io

    import numpy as np
    from PIL import Image

    if isinstance(pixels, Image.Image):
        image = pixels
    else:
        array = np.asarray(pixels)
        if array.dtype != np.uint8 or array.ndim not in (2, 3):
            raise MediaError(f"A picture is a PIL image or a uint8 array (H, W, 3), got {array.dtype} {array.shape}.")
        image = Image.fromarray(array)
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _data_uri(media: str) -> tuple[str, bytes]:
    head, comma, body = media.removeprefix("data:").partition(",")
    if not comma:
        raise MediaError("A data: URI needs a comma between its type and its content.")
    kind, _, coding = head.partition(";")
    try:
        content = base64.b64decode(body, validate=True) if "base64" in coding else unquote_to_bytes(body)
    except (binascii.Error, ValueError) as error:
        raise MediaError(f"A data: URI of type {kind or 'unknown'} is not valid base64: {error}.") from None
    return kind, content
