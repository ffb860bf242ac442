"""Headers of safetensors files: names, types and shapes, without the tensors. The files are untrusted; every value of a
header is checked here."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from ..core.errors import ModelError
from ..core.outside import parse_json

MAX_BYTES = 16 * 2**20
"""Limit of a header's size. 3,000 tensors take 0.5 MB."""

MAX_NAME = 1000
MAX_DIMENSIONS = 16
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip

Entries = dict[str, Any]
"""Tensor name to {"dtype", "shape", "data_offsets"}, and "__metadata__" to a table of strings."""


def header(file: Path) -> Entries:
    """The header of a safetensors file, checked against the file's size. ModelError if the file is of another format,
    damaged or truncated, or if its header is larger than MAX_BYTES."""
    return _opened(file)[0]


def tensors(file: Path) -> dict[str, tuple[int, ...]]:
    """Shapes by name. ModelError as `header`."""
    return {name: tuple(entry["shape"]) for name, entry in header(file).items() if name != "__metadata__"}


def small(file: Path, entries: Entries, name: str, most: int = 4096) -> bytes:
    """The first stored bytes of a tensor, at most `most`. ModelError if they cannot be read."""
    try:
        start, stop = entries[name]["data_offsets"]
        with file.open("rb") as stream:
            stream.seek(8 + int.from_bytes(stream.read(8), "little") + start)
            return stream.read(min(stop - start, most))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error}.") from None


def _opened(file: Path) -> tuple[Entries, int]:
    try:
        if not file.is_file():
            raise ModelError(f"{file}: {'not a regular file' if file.exists() else 'no such file'}.")
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= size - 8:
                raise ModelError(f"{file}: not a safetensors file, or truncated.")
            if length > MAX_BYTES:
                raise ModelError(f"{file}: not a safetensors file: a header of {length:,} bytes.")
            text = stream.read(length)
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: not a safetensors file: {error}.") from None
    entries: Entries = parse_json(text, f"{file}: not a safetensors file: its header", dict, error=ModelError)
    end = 0
    for name, entry in entries.items():
        end = max(end, _checked(file, name, entry))
    if 8 + length + end > size:
        raise ModelError(f"{file}: truncated: {size} of {8 + length + end} bytes.")
    return entries, size


def _checked(file: Path, name: str, entry: Any) -> int:
    """The end of the tensor's bytes, counted from the end of the header. ModelError for an illegal entry."""
    if name == "__metadata__":
        if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
            raise ModelError(f"{file}: damaged header: __metadata__ must be a table of strings.")
        return 0
    if len(name) > MAX_NAME:
        raise ModelError(f"{file}: damaged header: a tensor's name has {len(name):,} characters.")
    kind, shape, offsets = (
        (entry.get("dtype"), entry.get("shape"), entry.get("data_offsets"))
        if isinstance(entry, dict)
        else (None, None, None)
    )
    good = isinstance(kind, str) and _sizes(shape, MAX_DIMENSIONS) and _sizes(offsets, 2) and len(offsets or ()) == 2
    if not good or offsets[0] > offsets[1]:  # type: ignore[index]
        raise ModelError(f"{file}: damaged header: {name[:100]} has no legal dtype, shape and data_offsets.")
    bits = BITS.get(str(kind))
    if bits is not None and prod(shape) * bits != 8 * (offsets[1] - offsets[0]):  # type: ignore[arg-type,index]
        raise ModelError(f"{file}: damaged header: the size of {name[:100]} does not match {kind} {shape}.")
    return int(offsets[1])  # type: ignore[index]


def _sizes(value: Any, most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(each) is int and 0 <= each < 2**48 for each in value)
    )
