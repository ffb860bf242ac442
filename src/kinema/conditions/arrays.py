"""Exact pictures, clips and masks: `.npy` files of float32 values, read through a memory map.

A file of 8 bits rounds what was computed before it; an array does not. Pictures are (H, W, 3) or (1, H, W, 3), clips
(F, H, W, 3), masks (H, W) or (F, H, W); values are in [0, 1]. What resampling overshoots is kept, as networks take it.
The content decides whether a file is an array, not its name. Nothing in it is executed.
"""

from __future__ import annotations

import ast
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ..core.errors import MediaError

MAGIC = b"\x93NUMPY"
MAX_PIXELS = 8192 * 8192
MAX_FRAMES = 100_000
OVERSHOOT = 0.5
"""Values may lie this far outside [0, 1]; further outside, they are of another scale."""
CHECKED = 16
"""Frames whose values are checked at once."""


def is_array(path: Path) -> bool:
    """Whether a file is an array by its first bytes. False for files that cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def shape_of(path: Path) -> tuple[int, ...]:
    """The shape of an array, from its header. MediaError if it is none of this module's forms, or truncated."""
    return _mapped(path).shape


def frames(path: Path) -> np.ndarray:
    """A picture or clip as a read-only map (F, H, W, 3). MediaError for an array of another form."""
    mapped = _mapped(path)
    if mapped.ndim < 3 or mapped.shape[-1] != 3:
        raise MediaError(f"{path}: an array {mapped.shape} is not a picture (H, W, 3) or clip (F, H, W, 3).")
    return mapped if mapped.ndim == 4 else mapped[None]


def masks(path: Path) -> np.ndarray:
    """Masks as a read-only map (F, H, W). MediaError for an array of another form."""
    mapped = _mapped(path)
    if mapped.ndim > 3:
        raise MediaError(f"{path}: an array {mapped.shape} is not a mask (H, W) or masks (F, H, W).")
    return mapped if mapped.ndim == 3 else mapped[None]


def checked(path: Path, values: np.ndarray) -> np.ndarray:
    """The values. MediaError if one is not finite, or of another scale than [0, 1]."""
    for start in range(0, len(values), CHECKED):
        part = values[start : start + CHECKED]
        low, high = float(part.min()), float(part.max())
        if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):  # also false for NaN
            raise MediaError(f"{path}: values must be in [0, 1], got {low:g} to {high:g} from frame {start} on.")
    return values


def _mapped(path: Path) -> np.ndarray:
    """The array as a read-only memory map. MediaError for another dtype, order or size than this module's."""
    try:
        with path.open("rb") as stream:
            shape, begin = _header(stream)
        size = path.stat().st_size
        if size != begin + 4 * math.prod(shape):
            raise MediaError(f"{path}: {size} bytes, but an array {shape} has {begin + 4 * math.prod(shape)}.")
        return np.memmap(path, np.dtype("<f4"), "r", begin, shape)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror or error}.") from None
    except (ValueError, SyntaxError, TypeError, KeyError, struct.error, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise MediaError(f"{path}: not an array of pictures: {reason}.") from None


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], int]:
    """(shape, first byte of the values). ValueError and the like for other forms."""
    start = stream.read(8)
    if start[:6] != MAGIC or start[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError("no header of a .npy file")
    short = start[6] == 1
    (length,) = struct.unpack("<H" if short else "<I", stream.read(2 if short else 4))
    if length > 10_000:
        raise ValueError(f"a header of {length} bytes")
    found = ast.literal_eval(stream.read(length).decode("latin1").strip())
    shape = tuple(found["shape"])
    if found["descr"] != "<f4" or found["fortran_order"] is not False:
        raise ValueError(f"{str(found['descr'])[:40]}; only float32 (<f4) in C order is read")
    if len(shape) not in (2, 3, 4) or not all(type(side) is int and side > 0 for side in shape):
        raise ValueError(f"the shape {str(shape)[:60]}")
    count, height, width = _sides(shape)
    if height * width > MAX_PIXELS or count > MAX_FRAMES:
        raise ValueError(f"the shape {shape}; at most {MAX_FRAMES} frames of {MAX_PIXELS} pixels")
    return shape, stream.tell()


def _sides(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(frames, height, width) of a legal shape. Three numbers are a picture if the last is 3, else masks."""
    if len(shape) == 4:
        return shape[0], shape[1], shape[2]
    if len(shape) == 3 and shape[2] != 3:
        return shape[0], shape[1], shape[2]
    return 1, shape[0], shape[1]


def sides(path: Path) -> tuple[int, int, int]:
    """(frames, height, width) of an array. MediaError as `shape_of`."""
    return _sides(shape_of(path))


def write(path: Path, blocks: Iterator[np.ndarray], shape: tuple[int, ...]) -> None:
    """Write blocks of frames, together of this shape, without holding them all. MediaError for too few or too many."""
    with path.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        done = 0
        for block in blocks:
            stream.write(np.ascontiguousarray(block, "<f4").tobytes())
            done += len(block)
    if done != shape[0]:
        raise MediaError(f"{path}: {done} of {shape[0]} frames.")
