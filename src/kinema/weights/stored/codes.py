"""Small weights of safetensors files, in the conventions of ComfyUI: `X.scale_weight` (old), `X.weight_scale` with
`X.comfy_quant` (new), plain float8.

Int8-ConvRot: each group of columns is multiplied by an orthonormal Hadamard matrix, the Kronecker power of a 4 x 4
kernel, which is its own inverse; the same product restores them.
MXFP8 (OCP microscaling): float8, and a power of two for each 32 columns. NVFP4: two numbers of 4 bits in a byte, the
first in its upper half; a float8 scale for each 16 columns, and one for the tensor. Both store their scales in cuBLAS'
tiles of 128 rows by 4 columns; they are put in order once, when the file is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from ...core.errors import ModelError
from .contract import Stored

State = dict[str, torch.Tensor]
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
SCALES = (".scale_weight", ".weight_scale")
MARKS = (
    *SCALES, ".weight_scale_2", ".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8", ".convrot",
    ".convrot_groupsize",
)  # fmt: skip
INTEGERS = ("position_ids", "spiece_model")
MX_BLOCK, NV_BLOCK = 32, 16
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
GROUP = 256
"""Columns of a group of ConvRot, unless the file gives another number."""


@dataclass(frozen=True)
class Scaled:
    """Values times one scale, or one per row. Parts: values (rows, K); scale (1,) or (rows, 1), float32."""

    def widen(self, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        values = parts["values"].float()
        return values * parts["scale"] if "scale" in parts else values


@dataclass(frozen=True)
class Rotated:
    """Int8 values times a scale, un-rotated in groups of columns."""

    group: int

    def widen(self, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        values = parts["values"].float() * parts["scale"]
        rows, columns = values.shape
        turned = values.view(rows, columns // self.group, self.group) @ hadamard(self.group).to(values.device)
        return turned.view(rows, columns)


@dataclass(frozen=True)
class Mxfp8:
    """Float8 times 2^(scale - 127). Parts: values (rows, K); scale (rows, K / 32), uint8."""

    def widen(self, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        values, scale = parts["values"].float(), parts["scale"].int() - 127
        rows, columns = values.shape
        return torch.ldexp(values.view(rows, -1, MX_BLOCK), scale[..., None]).view(rows, columns)


@dataclass(frozen=True)
class Nvfp4:
    """Numbers of 4 bits times the scales of their block and of the tensor. Parts: values (rows, K / 2), uint8; scale
    (rows, K / 16), float8; whole (1,), float32."""

    def widen(self, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        packed = parts["values"]
        numbers = torch.stack([packed >> 4, packed & 15], -1).flatten(1).int()
        values = torch.tensor(E2M1, device=packed.device)[numbers]
        scale = parts["scale"].float() * parts["whole"]
        return (values.view(len(values), -1, NV_BLOCK) * scale[..., None]).flatten(1)


def in_order(tiled: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The scales (rows, columns) from cuBLAS' tiles of 128 x 4, each of which stores the rows r, r + 32, r + 64 and
    r + 96 side by side. ModelError for another number of scales."""
    across = -(-columns // 4)
    if tiled.numel() != (wanted := -(-rows // 128) * across * 512):
        raise ModelError(f"{tiled.numel()} scales of blocks instead of {wanted}.")
    row, column = torch.arange(rows)[:, None], torch.arange(columns)
    place = (row // 128 * across + column // 4) * 512 + row % 32 * 16 + row % 128 // 32 * 4 + column % 4
    return tiled.flatten()[place]


@cache
def hadamard(size: int) -> torch.Tensor:
    """The orthonormal regular Hadamard matrix (size, size), symmetric. ModelError if the size is no power of 4."""
    kernel = 1.0 - 2.0 * torch.eye(4).flip(1)  # rows sum to 2, which makes it regular
    found = torch.ones(1, 1)
    while found.shape[0] < size:
        found = torch.kron(found, kernel)
    if found.shape[0] != size:
        raise ModelError(f"a ConvRot group of {size} columns. Legal: a power of 4.")
    return found / size**0.5


def read_stored(state: State, layers: Mapping[str, Any] | None = None) -> dict[str, Stored | torch.Tensor]:
    """Replace the small weights of a state by `Stored`, and drop the tensors of the quantisation. Small tensors of one
    dimension or more than two are widened to float32. layers: the formats of layers that the file's metadata note, in
    place of `comfy_quant`. ModelError for an unknown kind."""
    found: dict[str, Stored | torch.Tensor] = {}
    for stem, noted in (layers or {}).items():
        state = {f"{stem}.comfy_quant": torch.tensor(list(json.dumps(noted).encode()), dtype=torch.uint8), **state}
    for key, value in state.items():
        if key.endswith(MARKS):
            continue
        if key.endswith(".pre_quant_scale"):
            raise ModelError(f"{key}: weights for scaled inputs (AWQ in NVFP4) are not supported.")
        packed = value.dtype == torch.uint8 and key.endswith(".weight")
        if packed or value.dtype in FLOAT8 or value.dtype == torch.int8:
            found[key] = _stored(state, key, value)
        elif value.is_floating_point() or key.endswith(INTEGERS):
            found[key] = value
        else:
            raise ModelError(f"{key} is {value.dtype}; only float8, int8, MXFP8 and NVFP4 are supported.")
    return found


def _stored(state: State, key: str, value: torch.Tensor) -> Stored | torch.Tensor:
    stem = key.removesuffix(".weight")
    scale = next((state[stem + mark] for mark in SCALES if stem + mark in state), None)
    try:
        if value.dtype == torch.uint8:
            return _nvfp4(value, scale, state.get(f"{stem}.weight_scale_2"))
        if scale is not None and scale.dtype in (torch.uint8, torch.float8_e8m0fnu):
            rows, columns = value.shape
            ordered = in_order(scale.view(torch.uint8), rows, columns // MX_BLOCK)
            return Stored.of((rows, columns), Mxfp8(), values=value, scale=ordered)
        if value.dtype == torch.int8 and scale is None:
            raise ModelError("int8 without a scale.")
        shaped = None if scale is None else scale.float().reshape(-1, *[1] * (value.ndim - 1))
        if value.ndim != 2:
            return value.float() if shaped is None else value.float() * shaped
        group = _group(state, stem) if value.dtype == torch.int8 else None
        if group is not None and value.shape[1] % group:
            raise ModelError(f"{value.shape[1]} columns, no multiple of its ConvRot group of {group}.")
    except (ModelError, ValueError, RuntimeError) as error:
        raise ModelError(f"{key}: {str(error).splitlines()[0]}") from None
    code = Scaled() if group is None else Rotated(group)
    return Stored.of(tuple(value.shape), code, values=value, **({} if shaped is None else {"scale": shaped}))


def _nvfp4(value: torch.Tensor, scale: torch.Tensor | None, whole: torch.Tensor | None) -> Stored:
    if scale is None or whole is None or value.ndim != 2:
        raise ModelError("weights in packed bytes that are not NVFP4 (no weight_scale and weight_scale_2).")
    rows, columns = value.shape[0], value.shape[1] * 2
    ordered = in_order(scale.view(torch.uint8), rows, columns // NV_BLOCK).view(torch.float8_e4m3fn)
    return Stored.of((rows, columns), Nvfp4(), values=value, scale=ordered, whole=whole.float().reshape(1))


def _group(state: State, stem: str) -> int | None:
    """The number of columns of a group, if a layer's weights are rotated."""
    size = state.get(f"{stem}.convrot_groupsize")
    mark = state.get(f"{stem}.comfy_quant")
    settings = {} if mark is None else json.loads(bytes(mark.to(torch.uint8).flatten().tolist()))
    settings = settings if isinstance(settings, dict) else {}
    if f"{stem}.convrot" not in state and not settings.get("convrot"):
        return None
    group = settings.get("convrot_groupsize", GROUP) if size is None else int(size.flatten()[0])
    hadamard(group)
    return group
