"""Headers of GGUF files: metadata, names, types and shapes, without the tensors (the format of ggml, versions 2 and 3).
The files are untrusted; every length is checked before it is read."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..core.errors import ModelError

MAGIC = b"GGUF"
TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K",
    13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 20: "IQ4_NL", 23: "IQ4_XS", 30: "BF16",
}  # fmt: skip
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
MAX_TENSORS, MAX_FACTS, MAX_TEXT_BYTES, MAX_VALUES = 100_000, 10_000, 2**20, 2**21
SHAPE = "comfy.gguf.orig_shape."
"""Start of the names under which converters note the shape of a tensor of more dimensions than ggml has."""


@dataclass(frozen=True)
class GgufHeader:
    """facts: the metadata; lists of more than 16 values are left out. entries: {"dtype", "shape"} by name of a tensor,
    the shape in torch's order."""

    facts: dict[str, Any]
    entries: dict[str, dict[str, Any]]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of its tensors of two dimensions, the most frequent first."""
        found = Counter(entry["dtype"] for entry in self.entries.values() if len(entry["shape"]) == 2)
        return tuple(kind for kind, _ in found.most_common())


def is_gguf(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(4) == MAGIC
    except OSError:
        return False


def gguf_header(file: Path) -> GgufHeader:
    """The header of a GGUF file. ModelError if the file is of another format or damaged."""
    try:
        with file.open("rb") as stream:
            return _GgufReader(stream).header()
    except (OSError, ValueError, struct.error, UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise ModelError(f"{file}: not a GGUF file, or damaged: {error}.") from None


class _GgufReader:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def header(self) -> GgufHeader:
        if self.bytes(4) != MAGIC:
            raise ValueError("its first bytes are not GGUF")
        if (version := self.number("I")) not in (2, 3):
            raise ValueError(f"version {version}")
        tensors, facts = self.number("Q", MAX_TENSORS), self.number("Q", MAX_FACTS)
        found = {}
        for _ in range(facts):
            name = self.text()
            found[name] = self.value(self.number("I"))
        entries = dict(self.tensor(found) for _ in range(tensors))
        return GgufHeader({name: value for name, value in found.items() if value is not None}, entries)

    def tensor(self, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        name = self.text()
        sides = [self.number("Q", 2**48) for _ in range(self.number("I", 8))]
        kind = self.number("I")
        self.number("Q")
        shape = facts.get(f"{SHAPE}{name}")
        known = isinstance(shape, list) and all(type(side) is int and side > 0 for side in shape)
        return name, {"dtype": TYPES.get(kind, f"type {kind}"), "shape": shape if known else sides[::-1]}

    def value(self, kind: int) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == TEXT:
            return self.text()
        if kind != LIST:
            raise ValueError(f"a value of type {kind}")
        inner, count = self.number("I"), self.number("Q", MAX_VALUES)
        values = [self.value(inner) for _ in range(count)]
        return values if count <= 16 else None

    def number(self, form: str, most: int | None = None) -> Any:
        (found,) = struct.unpack(f"<{form}", self.bytes(struct.calcsize(form)))
        if most is not None and found > most:
            raise ValueError(f"a count of {found:,}")
        return found

    def text(self) -> str:
        return self.bytes(self.number("Q", MAX_TEXT_BYTES)).decode("utf-8")

    def bytes(self, count: int) -> bytes:
        found = self.stream.read(count)
        if len(found) != count:
            raise ValueError("it ends too early")
        return found
