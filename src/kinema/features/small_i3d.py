"""The network of kinema-mini-i3d: 3-D convolutions over a clip, and heads for the questions it is trained on.

Legend: B clips, C channels, F frames, H W pixels, D features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.errors import ModelError
from ..core.outside import read_json
from ..weights import state_dict


@dataclass(frozen=True)
class SmallI3dConfig:
    """side: of the square frames, px. widths: channels of the four levels. features: D. heads: number of classes of
    each question."""

    side: int = 64
    widths: tuple[int, ...] = (24, 48, 96, 160)
    features: int = 128
    heads: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"heads": dict(self.heads)}

    @classmethod
    def of(cls, values: dict[str, Any]) -> SmallI3dConfig:
        heads = tuple((str(name), int(count)) for name, count in values["heads"].items())
        return cls(int(values["side"]), tuple(map(int, values["widths"])), int(values["features"]), heads)


class SmallI3d(nn.Module):
    """Clips in [-1, 1], (B, 3, F, side, side), F >= 8, to the logits of each question. Space is halved at each level,
    time only at the last two, and pooled over what is left: mean and maximum, so that a short event is seen."""

    def __init__(self, config: SmallI3dConfig) -> None:
        super().__init__()
        self.config = config
        first, *others = config.widths
        # 2 x 2 pixels become channels: the fine grid is the expensive one.
        self.stem = _Level(12, first, (1, 2, 2))
        levels, width = [], first
        for index, wider in enumerate(others):
            levels.append(_Level(width, wider, (2 if index else 1, 2, 2)))
            width = wider
        self.levels = nn.ModuleList(levels)
        self.project = nn.Linear(2 * width, config.features)
        self.heads = nn.ModuleDict({name: nn.Linear(config.features, count) for name, count in config.heads})

    def features(self, x_BCFHW: Tensor) -> Tensor:
        """(B, D), before the last activation."""
        batch, frames = x_BCFHW.shape[0], x_BCFHW.shape[2]
        flat = F.pixel_unshuffle(x_BCFHW.transpose(1, 2).flatten(0, 1), 2)
        x = self.stem(flat.unflatten(0, (batch, frames)).transpose(1, 2))
        for level in self.levels:
            x = level(x)
        pooled = torch.cat([x.mean((2, 3, 4)), x.amax((2, 3, 4))], 1)
        found: Tensor = self.project(pooled)
        return found

    def forward(self, x_BCFHW: Tensor) -> dict[str, Tensor]:
        shared = F.gelu(self.features(x_BCFHW))
        return {name: head(shared) for name, head in self.heads.items()}


class _Level(nn.Module):
    """A strided convolution in space and time, then a residual one factored into space and time."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.down = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.GroupNorm(8, outputs)
        self.space = nn.Conv3d(outputs, outputs, (1, 3, 3), 1, (0, 1, 1), bias=False)
        self.time = nn.Conv3d(outputs, outputs, (3, 1, 1), 1, (1, 0, 0), bias=False)
        self.norm_space, self.norm_time = nn.GroupNorm(8, outputs), nn.GroupNorm(8, outputs)

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        x = F.gelu(self.norm(self.down(x_BCFHW)))
        return x + F.gelu(self.norm_time(self.time(F.gelu(self.norm_space(self.space(x))))))


def open_small(folder: Path) -> SmallI3d:
    """Load the network of a folder (config.json, model.safetensors), float32, for inference. Raises ModelError."""
    file = folder / "model.safetensors"
    if not file.is_file():
        raise ModelError(f"{file} is missing. Create it with recipes/mini_i3d.py.")
    config = read_json(folder / "config.json", dict, error=ModelError)
    try:
        network = SmallI3d(SmallI3dConfig.of(config))
        network.load_state_dict({name: value.float() for name, value in state_dict.read(file).items()})
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise ModelError(f"{folder}: not the weights of kinema-mini-i3d ({reason}).") from None
    return network.eval().requires_grad_(False)
