"""Reading the inputs of a request: paths, `file:` URLs and `data:` URIs.

Pictures and clips of 8 bits are uint8 RGB; those in arrays (conditions/arrays.py) are exact, float32 RGB in [0, 1]."""

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
from ..core.by_hash import file_of
from ..core.errors import MediaError, RequestError
from ..core.leftovers import temporary_folder
from ..core.media_types import BY_SUFFIX

if TYPE_CHECKING:
    import numpy as np

    from ..media.read import VideoInfo

ARRAY_FPS = 24.0
"""Frame rate of clips in arrays, which state none; as that of a folder of pictures."""
SUFFIXES = {BY_SUFFIX[suffix]: suffix for suffix in (".png", ".jpg", ".webp", ".gif", ".mp4", ".webm")}


def local_path(media: str) -> Path:
    """The path of `media`. Raises MediaError for other URLs: nothing is fetched from the network."""
    if (place := file_of(media)) is not None:
        return place
    if "\0" in media:
        raise MediaError(f"{media[:200]!r}: not a file name.")
    path = path_of(media)
    if path is None:
        raise MediaError(f"{media}: only paths, file: URLs and data: URIs are supported; download it to a file first.")
    return path


def check_regular(media: str) -> Path:
    """The path of `media`. Raises MediaError for devices and pipes, which may be endless, also inside a folder. Missing
    files are left to the reader."""
    path = local_path(media)
    with suppress(OSError):
        for each in (path, *(path.iterdir() if path.is_dir() else ())):
            mode = each.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise MediaError(f"{str(each)[:200]}: not a regular file or folder.")
    return path


@contextmanager
def as_file(media: str) -> Iterator[Path]:
    """Provide the media as a file for the duration of the block (a temporary file for a `data:` URI)."""
    if not media.startswith("data:"):
        yield check_regular(media)
        return
    kind, content = _data_uri(media)
    with temporary_folder("input") as folder:
        path = folder / f"inline{SUFFIXES.get(kind, '.bin')}"
        path.write_bytes(content)
        yield path


def array_file(media: str) -> Path | None:
    """The file of an array (conditions/arrays.py); None for media of another kind. Raises MediaError as
    `check_regular`."""
    if media.startswith("data:"):
        return None
    from . import arrays

    path = check_regular(media)
    return path if arrays.is_array(path) else None


def picture(media: str) -> np.ndarray:
    """Read a picture as uint8 RGB, (H, W, 3), or float32 of an array. Raises MediaError if it cannot be read."""
    if (exact := array_file(media)) is not None:
        return _exact(exact, slice(0, 1))[0]
    from ..media.read import read_image

    with as_file(media) as path:
        return read_image(path)


def clip(media: str, stop: int | None = None) -> tuple[np.ndarray, float]:
    """Read the first `stop` frames of a clip (None: all) as uint8 RGB (F, H, W, 3), and its fps. Of an array: a map of
    float32 values, read when they are used, and ARRAY_FPS."""
    import numpy as np

    if (exact := array_file(media)) is not None:
        return _exact(exact, slice(0, stop)), ARRAY_FPS
    from ..media.read import read_chunks

    with as_file(media) as path:
        chunks = list(read_chunks(path, stop=stop))
    if not chunks:
        raise MediaError(f"{media[:200]}: contains no frames.")
    return np.concatenate([chunk.frames for chunk in chunks]), chunks[0].fps


def tail(media: str, count: int) -> np.ndarray:
    """Read the last `count` frames of a clip as uint8 RGB (F, H, W, 3), or float32 of an array; memory does not grow
    with its length."""
    import numpy as np

    if (exact := array_file(media)) is not None:
        return _exact(exact, slice(-count, None))
    from ..media.read import read_chunks

    last: deque[np.ndarray] = deque(maxlen=count)
    with as_file(media) as path:
        for chunk in read_chunks(path, audio=False):
            last.extend(frame.copy() for frame in chunk.frames[-count:])
    if not last:
        raise MediaError(f"{media}: contains no frames.")
    return np.stack(last)


def masks(media: str, stop: int | None = None) -> np.ndarray | None:
    """The first `stop` masks of an array, (F, H, W) float32 in [0, 1], 1 = generate; None for media of another kind,
    whose brightness is the mask. Raises MediaError."""
    if (exact := array_file(media)) is None:
        return None
    from . import arrays

    return arrays.checked(exact, arrays.masks(exact)[:stop])


def info(media: str) -> VideoInfo:
    """Size, length and frame rate of a clip, from its header."""
    from ..media.read import VideoInfo, probe

    if (exact := array_file(media)) is not None:
        from . import arrays

        num_frames, height, width = arrays.sides(exact)
        seconds = num_frames / ARRAY_FPS
        return VideoInfo(width, height, ARRAY_FPS, num_frames, seconds, 0, False, False, "npy", 8)
    with as_file(media) as path:
        return probe(path)


def check_sound(media: str) -> None:
    """Raise MediaError if a file has no readable sound."""
    from ..media.read import read_audio

    with as_file(media) as path:
        if read_audio(path, seconds=0.1) is None:
            raise MediaError(f"{media[:200]}: contains no sound.")


def check_mask_length(given: int, required: int) -> None:
    """Raise RequestError if a mask clip of `given` frames is shorter than the clip of `required` frames."""
    if given < required:
        raise RequestError(
            f"The mask clip has {given} frames, but the clip has {required}.",
            field="conditions.mask.video",
            value=given,
            legal=f"{required} frames or more",
        )


def remarks(found: VideoInfo) -> list[str]:
    """Notes for the plan on properties of a clip that an edit does not preserve."""
    notes = range_remarks(found)
    if found.variable_fps:
        notes.append(f"The clip has a variable frame rate; it is written with {found.fps:g} fps.")
    return notes


def range_remarks(found: VideoInfo) -> list[str]:
    """A note on the conversion of a clip's dynamic range, colours and bit depth, or none."""
    deep = found.bit_depth > 8
    bits = f"{found.bit_depth} bits per channel"
    if found.transfer != "SDR":
        also, eight = (f", {bits}", " with 8 bits") if deep else ("", "")
        return [f"The clip is HDR ({found.transfer}{also}); it is tone-mapped and written as SDR{eight}."]
    if found.primaries == "BT.2020":
        also, eight = (f" and {bits}", " and 8 bits") if deep else ("", "")
        return [f"The clip has BT.2020 colours{also}; it is converted to BT.709{eight}."]
    return [f"The clip has {bits}; it is converted to 8."] if deep else []


def digest(media: str) -> str:
    """SHA-256 of the media's bytes (of a folder: of its files in order). Raises MediaError if it cannot be read."""
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
    """A picture in memory (PIL image, or uint8 array HWC) as a `data:` URI, so that a request stays JSON."""
    import io

    import numpy as np
    from PIL import Image

    if isinstance(pixels, Image.Image):
        image = pixels
    else:
        array = np.asarray(pixels)
        if array.dtype != np.uint8 or array.ndim not in (2, 3):
            raise MediaError(
                f"A picture must be a PIL image or a uint8 array (H, W, 3), got {array.dtype} {array.shape}."
            )
        image = Image.fromarray(array)
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def refuse_array(media: str) -> None:
    """Raise MediaError for an array, where frames are read as a stream of 8 bits."""
    if array_file(media) is not None:
        raise MediaError(f"{media[:200]}: an array of exact values is not edited in place or upscaled; use a clip.")


def _exact(path: Path, part: slice) -> np.ndarray:
    from . import arrays

    return arrays.checked(path, arrays.frames(path)[part])


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
