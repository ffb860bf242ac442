"""Weights that stay as they are stored: values by each format's own arithmetic, the same results as widened ones, and
memory by the file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from kinema.core.errors import ModelError
from kinema.weights.stored import codes
from kinema.weights.stored.contract import Stored, widened
from kinema.weights.stored.layers import StoredEmbedding, StoredLinear, place

gguf = pytest.importorskip("gguf")
quants = pytest.importorskip("gguf.quants")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def only(state: dict[str, torch.Tensor]) -> Stored:
    (found,) = codes.read_stored(state).values()
    assert isinstance(found, Stored)
    return found


@pytest.mark.parametrize("kind", codes.FLOAT8, ids=str)
@pytest.mark.parametrize("rows", [0, 1, 6], ids=["plain", "one", "rows"])
def test_float8(kind: torch.dtype, rows: int) -> None:
    values = numbers(6, 4).to(kind)
    scale = None if rows == 0 else torch.rand(() if rows == 1 else (6,)) + 0.5
    state = {"a.weight": values} | ({} if scale is None else {"a.weight_scale": scale})
    found = only(state).widened(torch.float32)
    for row in range(6):
        own = 1.0 if scale is None else float(scale if rows == 1 else scale[row])
        for column in range(4):
            assert found[row, column] == float(values[row, column]) * np.float32(own)


def test_int8_and_its_rotation() -> None:
    weight = numbers(5, 512)
    for group in (None, 16, 256):
        turned = weight if group is None else (weight.view(5, -1, group) @ sylvester(group).float()).view(5, 512)
        scale = turned.abs().amax(1, keepdim=True) / 127
        values = (turned / scale).round().to(torch.int8)
        mark = {"format": "int8_tensorwise"} | ({} if group is None else {"convrot": True, "convrot_groupsize": group})
        state = {"a.weight": values, "a.weight_scale": scale, "a.comfy_quant": as_bytes(mark)}
        found = only(state).widened(torch.float32)
        assert (found - weight).abs().max() < scale.max() * (0.51 if group is None else 4), group
        exact = (values.double() * scale.double()).view(5, -1, group or 512)
        exact = exact if group is None else exact @ sylvester(group)
        torch.testing.assert_close(found, exact.view(5, 512).float(), atol=1e-5, rtol=0)


def sylvester(size: int) -> torch.Tensor:
    """The matrix of ConvRot, entry by entry: the sign is the product over the base-4 digits of row and column, each
    negative where the digits add up to 3."""
    found = torch.empty(size, size, dtype=torch.float64)
    for row in range(size):
        for column in range(size):
            one, other, sign, left = row, column, 1, size
            while left > 1:
                sign *= -1 if one % 4 + other % 4 == 3 else 1
                one, other, left = one // 4, other // 4, left // 4
            found[row, column] = sign / size**0.5
    return found


def as_bytes(value: dict) -> torch.Tensor:
    return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)


def tiled(scales: torch.Tensor) -> torch.Tensor:
    """Scales in cuBLAS' tiles, written one by one in the order of its documentation."""
    rows, columns = scales.shape
    found = []
    for top in range(0, rows, 128):
        for left in range(0, columns, 4):
            for inner in range(32):
                for strip in range(4):
                    for place_ in range(4):
                        row, column = top + strip * 32 + inner, left + place_
                        inside = row < rows and column < columns
                        found.append(scales[row, column] if inside else torch.zeros((), dtype=scales.dtype))
    return torch.stack(found)


def test_blocks_with_scales_in_tiles() -> None:
    rows, columns = 160, 192
    values = numbers(rows, columns).to(torch.float8_e4m3fn)
    exponents = torch.randint(120, 134, (rows, columns // 32), dtype=torch.uint8)
    found = only({"a.weight": values, "a.weight_scale": tiled(exponents)}).widened(torch.float32)
    wanted = values.float() * (2.0 ** (exponents.float() - 127)).repeat_interleave(32, 1)
    assert torch.equal(found, wanted)

    packed = torch.randint(0, 256, (rows, columns // 2), dtype=torch.uint8)
    scales = (torch.rand(rows, columns // 16) * 4 + 0.1).to(torch.float8_e4m3fn)
    whole = torch.tensor(0.37)
    state = {"a.weight": packed, "a.weight_scale": tiled(scales.view(torch.uint8)).view(torch.float8_e4m3fn)}
    found = only(state | {"a.weight_scale_2": whole}).widened(torch.float32)
    assert found.shape == (rows, columns)
    for row, column in ((0, 0), (0, 1), (159, 191), (77, 100), (131, 64)):
        byte = int(packed[row, column // 2])
        number = byte >> 4 if column % 2 == 0 else byte & 15
        sign, exponent, mantissa = number >> 3, number >> 1 & 3, number & 1
        value = (-1) ** sign * (mantissa * 0.5 if exponent == 0 else (1 + mantissa / 2) * 2 ** (exponent - 1))
        assert float(found[row, column]) == pytest.approx(value * float(scales[row, column // 16]) * 0.37, rel=1e-6)
    with pytest.raises(ModelError, match=r"a\.weight: 7 scales of blocks"):
        codes.read_stored({"a.weight": values, "a.weight_scale": torch.zeros(7, dtype=torch.uint8)})


KINDS = ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K", "IQ4_NL", "IQ4_XS")


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_ggml_are_widened_as_its_library_does(kind: str) -> None:
    from kinema.weights.stored.gguf import Blocks

    type_ = gguf.GGMLQuantizationType[kind]
    values, size = gguf.GGML_QUANT_SIZES[type_]
    raw = np.random.default_rng(3).integers(0, 256, (6, 2 * size), dtype=np.uint8)
    wanted = quants.dequantize(raw, type_).reshape(-1, values)
    # Random bits can be infinite scales: those blocks are left out.
    good = np.isfinite(wanted).all(1) & (np.abs(wanted).max(1) < 1e4)
    assert good.sum() >= 3
    stored = Stored.of((6, 2 * values), Blocks(kind), values=torch.from_numpy(raw))
    found = stored.widened(torch.float32).reshape(-1, values)[torch.from_numpy(good)]
    torch.testing.assert_close(found, torch.from_numpy(wanted[good]), atol=1e-6, rtol=1e-6)


def test_layers_compute_as_widened_ones_and_keep_their_bytes(monkeypatch) -> None:
    network = nn.Sequential(nn.Embedding(50, 32), nn.Linear(32, 48), nn.Linear(48, 8, bias=False)).requires_grad_(False)
    state = dict(network.state_dict())
    for name in ("0", "1", "2"):
        state[f"{name}.weight_scale"] = state[f"{name}.weight"].abs().amax(1) / 448
        state[f"{name}.weight"] = (state[f"{name}.weight"] / state[f"{name}.weight_scale"][:, None]).to(codes.FLOAT8[0])
    stored = {name: value for name, value in codes.read_stored(state).items() if isinstance(value, Stored)}
    for name, value in stored.items():
        network.get_submodule(name.removesuffix(".weight")).weight = nn.Parameter(value.widened(torch.float32), False)
    words = torch.tensor([[3, 3, 49], [0, 7, 8]])
    wanted = network(words)
    monkeypatch.setattr("kinema.weights.stored.contract.CHUNK", 100)  # in several pieces
    num_bytes = sum(value.num_bytes for value in stored.values())
    place(network, stored, torch.float32)
    assert isinstance(network[0], StoredEmbedding) and isinstance(network[1], StoredLinear)
    assert torch.equal(network(words), wanted)
    network.to(torch.bfloat16)
    assert torch.equal(network[2].weight, stored["2.weight"].widened(torch.float32)), "bytes are no numbers to convert"
    held = sum(part.numel() * part.element_size() for part in network.buffers())
    assert held == num_bytes == 50 * 32 + 32 * 48 + 48 * 8 + 4 * (50 + 48 + 8)
    assert widened(stored["2.weight"], network[2].bytes_by_part, torch.bfloat16).dtype == torch.bfloat16


def test_what_is_refused() -> None:
    for state, message in (
        ({"a.weight": torch.zeros(4, 4, dtype=torch.int8)}, "without a scale"),
        ({"a.weight": torch.zeros(4, 4, dtype=torch.uint8)}, "not NVFP4"),
        ({"a.bias": torch.zeros(4, dtype=torch.int32)}, "a.bias is torch.int32"),
        ({"a.pre_quant_scale": torch.ones(4)}, "scaled inputs"),
        (
            {"a.weight": torch.zeros(4, 8, dtype=torch.int8), "a.weight_scale": torch.ones(1),
             "a.convrot": torch.ones(1), "a.convrot_groupsize": torch.tensor([8])}, "power of 4",
        ),
        (
            {"a.weight": torch.zeros(4, 8, dtype=torch.int8), "a.weight_scale": torch.ones(1),
             "a.convrot": torch.ones(1), "a.convrot_groupsize": torch.tensor([16])}, "no multiple",
        ),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=message):
            codes.read_stored(state)
