"""The tensors of a GGUF file. Blocks are widened by diffusers' functions, which need the package gguf.

Legend: N rows, K columns.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ...core.errors import ModelError
from ...core.extras import install_command
from ..gguf_header import gguf_header
from .contract import Stored

PLAIN = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}


@dataclass(frozen=True)
class Blocks:
    """Blocks of a ggml type along the columns. Parts: values (rows, bytes of a row), uint8."""

    type: str

    def widen(self, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        function, num_values, num_bytes = _functions()[self.type]
        packed = parts["values"]
        found: torch.Tensor = function(packed.reshape(-1, num_bytes), num_values, num_bytes, dtype=torch.float32)
        return found.reshape(len(packed), -1)


@cache
def _functions() -> dict[str, tuple[Any, int, int]]:
    """By type: a function of blocks (count, bytes), values and bytes of a block."""
    try:
        gguf = importlib.import_module("gguf")
        utils = importlib.import_module("diffusers.quantizers.gguf.utils")
    except ImportError as error:
        raise ModelError(f"GGUF files require the package gguf: {install_command('gguf')}") from error
    return {
        kind.name: (function, *gguf.GGML_QUANT_SIZES[kind])
        for kind, function in utils.dequantize_functions.items() if kind.name not in PLAIN
    }  # fmt: skip


def read_gguf(file: Path) -> dict[str, Stored | torch.Tensor]:
    """The tensors of a file by name, memory-mapped. ModelError if the file is damaged, if it has tensors of a type that
    is not read, or if gguf is not installed."""
    functions = _functions()
    entries = gguf_header(file).entries
    unknown = sorted({entry["dtype"] for entry in entries.values()} - {*PLAIN, *functions})
    if unknown:
        raise ModelError(f"{file}: tensors of type {', '.join(unknown)}. Legal: {', '.join((*PLAIN, *functions))}.")
    try:
        reader = importlib.import_module("gguf").GGUFReader(str(file))
        tensors = {tensor.name: tensor for tensor in reader.tensors}
        return {name: _tensor(tensors[name], entry["dtype"], entry["shape"]) for name, entry in entries.items()}
    except (OSError, KeyError, ValueError, IndexError, RuntimeError) as error:
        raise ModelError(f"{file}: not a GGUF file, or damaged: {str(error).splitlines()[0]}.") from None


def _tensor(found: Any, kind: str, shape: list[int]) -> Stored | torch.Tensor:
    raw = torch.from_numpy(found.data)
    if kind in PLAIN:
        return raw.contiguous().view(PLAIN[kind]).reshape(shape)
    rows, columns = shape if len(shape) == 2 else (shape[0], -1)
    values = raw.contiguous().view(torch.uint8).reshape(rows, -1)
    if len(shape) != 2:
        return Blocks(kind).widen({"values": values}).reshape(shape)
    return Stored.of((rows, columns), Blocks(kind), values=values)
