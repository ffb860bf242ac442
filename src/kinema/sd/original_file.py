"""Load networks from a checkpoint in the original layout (sd/original.py). Configurations are derived from the tensors,
so small checkpoints in the same layout load too. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError
from . import original


class TensorFile:
    """The tensors of a file by name, read on access."""

    def __init__(self, file: Path, tensors: Any, names: set[str]) -> None:
        self.file, self.tensors, self.names = file, tensors, names

    def get(self, name: str) -> torch.Tensor:
        if name not in self.names:
            raise ModelError(f"{self.file}: the tensor {name} is missing.")
        return self.tensors.get_tensor(name)

    def shape(self, name: str) -> list[int]:
        if name not in self.names:
            raise ModelError(f"{self.file}: the tensor {name} is missing.")
        return self.tensors.get_slice(name).get_shape()

    def count(self, pattern: str) -> int:
        """The number of consecutive pattern.format(0), pattern.format(1), ... that start a name."""
        number = 0
        while any(name.startswith(pattern.format(number)) for name in self.names):
            number += 1
        return number


def levels(source: TensorFile) -> tuple[list[int], int, tuple[bool, ...]]:
    """The UNet's (channels per level, number of residual blocks per level, whether each level has attention)."""
    blocks = source.count(original.UNET + "input_blocks.{}.")
    down = [n for n in range(blocks) if f"{original.UNET}input_blocks.{n}.0.op.weight" in source.names]
    layers = down[0] - 1
    first = [1 + level * (layers + 1) for level in range(len(down) + 1)]
    channels = [source.shape(f"{original.UNET}input_blocks.{n}.0.out_layers.3.weight")[0] for n in first]
    attended = tuple(f"{original.UNET}input_blocks.{n}.1.norm.weight" in source.names for n in first)
    return channels, layers, attended


def vae_sizes(source: TensorFile) -> dict[str, Any]:
    """The sizes in a VAE's configuration."""
    side = f"{original.VAE}encoder."
    count = source.count(side + "down.{}.")
    return {
        "block_out_channels": tuple(source.shape(f"{side}down.{n}.block.0.conv1.weight")[0] for n in range(count)),
        "layers_per_block": source.count(side + "down.0.block.{}."),
        "down_block_types": ("DownEncoderBlock2D",) * count,
        "latent_channels": source.shape(f"{side}conv_out.weight")[0] // 2,
    }


def fill(network: Any, source: TensorFile, name_of: Callable[[str], tuple[str, str]], dtype: torch.dtype) -> Any:
    """Fill every parameter from the file. name_of: returns the name in the file and "q", "k", "v" (a third of the
    tensor) or "". Buffers (position numbers) keep their initial values. ModelError if a tensor is missing or has
    another size."""
    state = {}
    for name, parameter in network.named_parameters():
        found, third = name_of(name)
        tensor = source.get(found)
        if third:
            tensor = tensor.chunk(3)["qkv".index(third)]
        if found.endswith("visual.proj"):
            tensor = tensor.T
        if tensor.numel() != parameter.numel():
            raise ModelError(f"{source.file}: {found} must be {list(parameter.shape)}, got {list(tensor.shape)}.")
        state[name] = tensor.reshape(parameter.shape).to(dtype).contiguous()
    network.load_state_dict(state, strict=False, assign=True)
    return network
